"""What is counted, and what the access log says and keeps to itself."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from edge.access_log import AccessLog, Combined, Json, without_secrets
from edge.http.message import Client, Fields, Outcome, Request
from edge.telemetry import Finished, Gauge, Telemetry


def finished(status: int = 200, verdict: str = "hit", seconds: float = 0.002, **request: object) -> Finished:
    asked = {
        "method": "GET", "scheme": "http", "host": "shop.test", "path": "/p", "query": "q=1", "id": "id1",
        "client": Client("192.0.2.1"),
        "fields": Fields([("User-Agent", "curl"), ("Referer", "http://a.test/?token=x"),
                          ("Cookie", "session=hunter2"), ("Authorization", "Basic hunter2")]),
        **request,
    }  # fmt: skip
    return Finished(Request(**asked), status, Outcome(verdict, "why", site="shop"), 100, seconds)  # type: ignore[arg-type]


def test_counters_are_cumulative_and_flat() -> None:
    telemetry = Telemetry(tuple, lambda: 77)
    for verdict in ("hit", "hit", "stale", "miss", "pass", "refused", "revalidated"):
        telemetry.count(finished(verdict=verdict))
    telemetry.count(finished(status=502, verdict="error", seconds=100.0))
    telemetry.count(finished(status=503, verdict="pass"))
    counters = telemetry.counters()
    latency = counters.pop("latency")
    assert counters == {
        "requests": 9, "hits": 2, "stale": 1, "revalidated": 1, "misses": 1, "passes": 1, "refused": 1,
        "errors": 2, "other": 0, "bytes_sent": 900, "bytes_origin": 77,
    }  # fmt: skip
    assert (latency["0.0025"], latency["inf"], sum(latency.values())) == (8, 1, 9)


def test_metrics_are_prometheus_own_text() -> None:
    telemetry = Telemetry(
        lambda: (Gauge("up", "Up.", 1, {"origin": "a"}), Gauge("up", "Up.", 0, {"origin": "b"})), lambda: 5
    )
    telemetry.count(finished())
    telemetry.count(finished(seconds=60.0))
    registry = CollectorRegistry()
    registry.register(telemetry)
    text = generate_latest(registry).decode()
    labels = 'site="shop",status="2xx",verdict="hit"'
    assert f"tepi_edge_requests_total{{{labels}}} 2.0" in text
    assert f'tepi_edge_request_seconds_bucket{{le="0.0025",{labels}}} 1.0' in text
    assert f'tepi_edge_request_seconds_bucket{{le="30.0",{labels}}} 1.0' in text
    assert f'tepi_edge_request_seconds_bucket{{le="+Inf",{labels}}} 2.0' in text
    assert 'tepi_edge_up{origin="a"} 1.0' in text
    assert 'tepi_edge_up{origin="b"} 0.0' in text


def logged(tmp_path: Path, form: str, *answers: Finished) -> list[str]:
    file = tmp_path / "access.log"
    log = AccessLog(form, str(file), lambda: 1_800_000_000.0, "jakarta")  # type: ignore[arg-type]
    for each in answers:
        log.write(each)
    log.close()
    return file.read_text().splitlines()


@pytest.mark.parametrize("form", ["json", "combined"])
def test_cookies_credentials_and_secrets_in_urls_stay_out_of_the_log(tmp_path: Path, form: str) -> None:
    query = "a=1&reset_token=hunter2&Password=hunter2;sig=hunter2"
    (line,) = logged(tmp_path, form, finished(query=query))
    assert "hunter2" not in line
    assert "a=1&reset_token=...&Password=...;sig=..." in line
    assert "token=..." in line


def test_a_json_line_says_who_asked_what_and_how_it_was_answered(tmp_path: Path) -> None:
    (line,) = logged(tmp_path, "json", finished())
    said = json.loads(line)
    assert said["time"] == 1_800_000_000.0
    assert (said["node"], said["id"], said["client"], said["site"]) == ("jakarta", "id1", "192.0.2.1", "shop")
    assert (said["method"], said["host"], said["target"], said["status"]) == (
        "GET",
        "shop.test",
        "/p?q=1",
        200,
    )
    assert (said["verdict"], said["reason"], said["bytes"], said["seconds"]) == ("hit", "why", 100, 0.002)
    assert "origin" not in said


QUOTED = r'"(?:[^"\\]|\\x..)*"'
COMBINED = re.compile(rf"\S+ - - \[[^\]]+\] {QUOTED} \d{{3}} \d+ {QUOTED} {QUOTED}")


def test_the_combined_form_is_what_its_readers_expect(tmp_path: Path) -> None:
    (line,) = logged(tmp_path, "combined", finished())
    assert line == (
        '192.0.2.1 - - [15/Jan/2027:08:00:00 +0000] "GET /p?q=1 HTTP/1.1" 200 100 '
        '"http://a.test/?token=..." "curl"'
    )


@given(st.text(st.characters(max_codepoint=255)), st.sampled_from(["json", "combined"]))
def test_nobody_can_write_a_line_of_his_own(text: str, form: str) -> None:
    said = finished(path="/" + text, query=None, fields=Fields([("User-Agent", text), ("Referer", text)]))
    request, how = said.request, Json() if form == "json" else Combined()
    mould = how.mould(request, said.status, said.bytes_sent, said.outcome, "n")
    line = how.line(mould, how.tail(request.fields), 0.0, request.id, request.client.address, said.seconds)
    assert line.endswith("\n")
    assert not set(line[:-1]) & {"\n", "\r", "\x1b", "\x85"} or form == "json"
    if form == "json":
        assert json.loads(line)["agent"] == text
    else:
        assert COMBINED.fullmatch(line[:-1])


def test_a_disk_that_is_full_costs_lines_and_not_answers() -> None:
    log = AccessLog("json", "/dev/full", lambda: 0.0, "n")
    for _ in range(3):
        log.write(finished())
        log.flush()
    log.close()


@given(st.text())
def test_a_target_without_parameters_is_logged_as_it_is(text: str) -> None:
    assert without_secrets(text.replace("?", "")) == text.replace("?", "")
