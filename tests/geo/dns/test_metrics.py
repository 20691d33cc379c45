from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from geo.dns.answer import Reply
from geo.dns.message import Rcode
from geo.dns.metrics import Metrics
from geo.dns.rates import Verdict


def test_replies_are_counted_by_type_code_and_node() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for _ in range(3):
        metrics.observe(Reply(b"", 1, Rcode.NOERROR, "jakarta"))
    metrics.observe(Reply(b"", 28, Rcode.NXDOMAIN))
    text = generate_latest(registry).decode()
    assert 'tepi_dns_replies_total{node="jakarta",rcode="NOERROR",type="A"} 3.0' in text
    assert 'tepi_dns_replies_total{node="",rcode="NXDOMAIN",type="AAAA"} 1.0' in text


def test_clients_can_not_make_new_series_by_odd_types() -> None:
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    for number in range(200, 300):
        metrics.observe(Reply(b"", number, Rcode.REFUSED))
    text = generate_latest(registry).decode()
    lines = [line for line in text.splitlines() if line.startswith("tepi_dns_replies_total{")]
    assert 'tepi_dns_replies_total{node="",rcode="REFUSED",type="other"} 96.0' in lines
    assert len(lines) == 5, "ANY, AXFR, CAA, IXFR, and all else as one"


def test_what_was_held_back_is_counted() -> None:
    registry = CollectorRegistry()
    Metrics(registry).limited(Verdict.SILENCE)
    assert 'tepi_dns_limited_total{verdict="silence"} 1.0' in generate_latest(registry).decode()
