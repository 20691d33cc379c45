"""What the origin is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.http.forwarding import OURS, towards_commerce, towards_origin
from edge.http.message import Client, Fields
from tests.edge.stage import make_request

STRANGE = st.sampled_from([*OURS, "tepi-site", "tepi-client-address", "Tepi-Anything", "x-mine"])


@given(st.lists(st.tuples(STRANGE, st.just("spoofed"))))
def test_no_stranger_speaks_in_our_name(lines: list[tuple[str, str]]) -> None:
    request = make_request(fields=lines, client=Client("1.2.3.4"))
    sent = towards_commerce(towards_origin(request, "tepi"), "shop").fields
    for name in sent.names():
        if name != "x-mine":
            assert "spoofed" not in sent.all(name)


def test_each_cdn_on_the_way_adds_itself() -> None:
    sent = towards_origin(make_request(fields=[("Via", "1.1 a"), ("CDN-Loop", "a; n=1")]), "tepi").fields
    assert (sent.get("via"), sent.get("cdn-loop")) == ("1.1 a, 1.1 tepi", "a; n=1, tepi")


def test_the_request_itself_is_left_as_it_was() -> None:
    request = make_request(fields={"A": "1"})
    towards_origin(request, "tepi")
    assert request.fields == Fields([("A", "1")])
