"""Fields set and unset: what changes, for whom, and what is nobody's to touch."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edge.config import Site
from edge.http.message import Client, Fields, Line
from edge.policy.alterations import answer_rules, as_answered, as_sent, shaped
from edge.policy.traffic import TrafficRules
from tests.edge.policy.traffic_made import SHOP, traffic
from tests.edge.stage import make_request


def told(rules: TrafficRules, *lines: Line, target: str = "/", **more: Any) -> tuple[Line, ...]:
    """What the origin is told of a request with `lines`."""
    request = make_request(target, lines, **more)
    return as_sent(request.fields, request, rules).lines


def answered(
    rules: TrafficRules, *lines: Line, target: str = "/", status: int = 200, **more: Any
) -> tuple[Line, ...]:
    request = make_request(target, **more)
    return as_answered(Fields(lines), request, answer_rules(request, status, rules)).lines


def test_fields_are_set_and_unset_towards_the_origin() -> None:
    rules = traffic(
        request_fields=[
            {"set": {"X-Site": "$host over $scheme", "X-Who": "$client/$country/$id"}, "unset": ["x-debug"]},
            {"paths": ["/api/*"], "set": {"Authorization": "Basic eDp5"}},
        ]
    )
    client = Client("192.0.2.1", country="ID")
    lines = told(rules, ("X-Debug", "1"), ("x-site", "forged"), ("Accept", "*/*"), client=client)
    assert lines == (("Accept", "*/*"), ("X-Site", "shop.test over http"), ("X-Who", "192.0.2.1/ID/r-1"))
    assert ("Authorization", "Basic eDp5") in told(rules, target="/%61pi/x")


def test_a_value_that_is_empty_brings_no_line() -> None:
    rules = traffic(request_fields=[{"set": {"X-Country": "$country"}}])
    assert told(rules, ("X-Country", "forged")) == ()


def test_the_cache_sees_what_the_origin_will_but_not_the_operators_credentials() -> None:
    rules = traffic(
        request_fields=[
            {"set": {"X-Country": "$country", "Authorization": "Basic eDp5"}, "unset": ["Cookie"]}
        ]
    )
    request = make_request(fields={"Cookie": "a=b"}, client=Client("192.0.2.1", country="ID"))
    assert shaped(request, rules).fields.lines == (("X-Country", "ID"),)
    plain = traffic(answer_fields=[{"unset": ["x"]}])
    assert shaped(request, plain) is request


def test_fields_are_set_added_and_unset_towards_the_visitor() -> None:
    rules = traffic(
        answer_fields=[
            {
                "set": {"Cache-Control": "no-cache"},
                "add": {"Link": "</a.css>; rel=preload"},
                "unset": ["Server"],
            },
            {"status": [404, "5xx"], "set": {"X-Error": "yes"}},
            {"paths": ["/fonts/*"], "set": {"Access-Control-Allow-Origin": "*"}},
        ]
    )
    lines = (("Server", "x"), ("cache-control", "max-age=9"), ("Link", "</b.js>; rel=preload"))
    assert answered(rules, *lines) == (
        ("Link", "</b.js>; rel=preload"), ("Cache-Control", "no-cache"), ("Link", "</a.css>; rel=preload"),
    )  # fmt: skip
    assert ("X-Error", "yes") in answered(rules, status=503)
    assert ("X-Error", "yes") in answered(rules, status=404)
    assert ("X-Error", "yes") not in answered(rules, status=403)
    assert ("Access-Control-Allow-Origin", "*") in answered(rules, target="/fonts/a.woff2")


def test_only_who_comes_over_tls_is_told_to_stay_there() -> None:
    rules = traffic(
        answer_fields=[{"set": {"Strict-Transport-Security": "max-age=63072000", "X-A": "1"}},
                       {"scheme": "https", "set": {"X-Secure": "1"}}]
    )  # fmt: skip
    assert answered(rules, scheme="http") == (("X-A", "1"),)
    assert answered(rules, scheme="https") == (
        ("Strict-Transport-Security", "max-age=63072000"), ("X-A", "1"), ("X-Secure", "1"),
    )  # fmt: skip


UNTOUCHED = [
    "Connection", "Content-Length", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Keep-Alive", "Via",
    "CDN-Loop", "Cache-Status", "Age", "Date", "Tepi-Site", "tepi-anything", "Proxy-Authorization",
]  # fmt: skip
OF_REQUESTS = ["Host", "Expect", "Range", "If-None-Match", "If-Range", "Accept-Encoding"]
OF_ANSWERS = ["Location", "Content-Encoding", "Content-Range"]


@pytest.mark.parametrize("way", ["set", "unset"])
@pytest.mark.parametrize("name", [*UNTOUCHED, *OF_REQUESTS])
def test_what_the_edge_tells_origins_itself_is_nobody_elses_to_tell(way: str, name: str) -> None:
    said = {"set": {name.swapcase(): "x"}} if way == "set" else {"unset": [name.swapcase()]}
    refused(said, "request_fields", way, f"other fields than {name.swapcase()}: ")


@pytest.mark.parametrize("way", ["set", "add", "unset"])
@pytest.mark.parametrize("name", [*UNTOUCHED, *OF_ANSWERS])
def test_what_the_edge_tells_visitors_itself_is_nobody_elses_to_tell(way: str, name: str) -> None:
    said = {way: [name]} if way == "unset" else {way: {name: "x"}}
    refused(said, "answer_fields", way, f"other fields than {name}: ")


@pytest.mark.parametrize(
    ("kind", "said", "field", "expected"),
    [
        ("request_fields", {"set": {"Cookie": "a=b"}}, "set", "other fields than Cookie"),
        ("request_fields", {"set": {"X-A": "a\r\nX-B: c"}}, "set", "for X-A: 4096 characters"),
        ("request_fields", {"set": {"X-A": "a\0"}}, "set", "without line breaks"),
        ("request_fields", {"set": {"X-A": "\u20ac"}}, "set", "latin-1"),
        ("request_fields", {"set": {"X-A": "x" * 4097}}, "set", "4096"),
        ("request_fields", {"set": {"X-A": "$cookie"}}, "set", "for X-A: text with none but these variables"),
        ("request_fields", {"set": {"X A": "b"}}, "set", "'X A' is none"),
        ("request_fields", {"unset": ["X-A:"]}, "unset", "'X-A:' is none"),
        ("request_fields", {"paths": []}, "paths", "at least 1"),
        ("request_fields", {"add": {"X-A": "b"}}, "add", "Extra"),
        ("answer_fields", {"set": {"ETag": '"1"'}}, "set", "other fields than ETag: it belongs"),
        ("answer_fields", {"set": {"X-A": "a\nb"}}, "set", "line breaks"),
        ("answer_fields", {"status": ["6xx"]}, "status.0", "502-504"),
        ("answer_fields", {"status": ["504-502"]}, "status.0", "502-504"),
        ("answer_fields", {"status": [99]}, "status.0", "502-504"),
        ("answer_fields", {"scheme": "ftp"}, "scheme", "'http' or 'https'"),
    ],
)  # fmt: skip
def test_a_bad_rule_is_refused_where_it_is_bad(
    kind: str, said: dict[str, Any], field: str, expected: str
) -> None:
    refused(said, kind, field, expected)


def refused(said: dict[str, Any], kind: str, field: str, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Site.model_validate({**SHOP, kind: [said]})
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == f"{kind}.0.{field}"
    assert expected in error["msg"]


def test_validators_may_be_taken_away() -> None:
    assert answered(traffic(answer_fields=[{"unset": ["ETag", "Last-Modified"]}]), ("ETag", '"1"')) == ()


NAMES = st.sampled_from(["X-A", "x-a", "X-B", "Cookie", "Accept"])
LINES = st.lists(st.tuples(NAMES, st.text("ab ", min_size=1, max_size=3)), max_size=6)


@given(LINES, st.text(st.characters(max_codepoint=255), max_size=20), st.text(max_size=10))
def test_whatever_is_taken_as_a_value_stays_in_its_line(lines: list[Line], value: str, country: str) -> None:
    try:
        rules = traffic(request_fields=[{"set": {"X-A": value, "X-B": "$client"}, "unset": ["Cookie"]}])
    except ValidationError:
        return
    sent = Fields(told(rules, *lines))
    assert sent.all("x-b") == ("127.0.0.1",)
    assert "cookie" not in sent
    assert not any(set(text) & set("\r\n\0") for _, text in sent.lines)
    assert [line for line in sent.lines if line[0] == "Accept"] == [
        line for line in lines if line[0] == "Accept"
    ]


@given(LINES)
def test_saying_it_twice_changes_nothing_more(lines: list[Line]) -> None:
    """The cache and the origin are told by the same rules, one after the other."""
    rules = traffic(request_fields=[{"set": {"X-A": "$host"}, "unset": ["x-b"]}])
    once = told(rules, *lines)
    assert sorted(told(rules, *once)) == sorted(once)
