"""Storing (RFC 9111 §3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Fields, Request
from edge.policy.freshness import Freshness
from edge.policy.reasons import NotStored
from edge.policy.rules import SiteRules
from edge.policy.storing import left_out
from tests.edge.policy.made import fields, judged, stored
from tests.edge.stage import make_request

AUTHORIZED = make_request(fields={"Authorization": "Basic x"})
WITH_COOKIE = make_request(fields={"Cookie": "a=b"})
POST = make_request(method="POST")


@pytest.mark.parametrize(
    ("answer", "request_", "status", "reason"),
    [
        pytest.param(fields(cache_control="max-age=5"), make_request(), 200, None, id="explicit"),
        pytest.param(
            fields(cache_control="max-age=5"), make_request(), 599, None, id="unknown-code-explicit-3"
        ),
        pytest.param(fields(cache_control="max-age=5"), make_request(), 503, None, id="error-explicit-3"),
        pytest.param(fields(cache_control="max-age=5"), make_request(), 206, "partial", id="206-3.3"),
        pytest.param(fields(cache_control="max-age=5"), make_request(), 304, "status", id="304"),
        pytest.param(fields(cache_control="max-age=5"), make_request(), 103, "status", id="interim-3"),
        pytest.param(
            fields(cache_control="max-age=5"), make_request(method="OPTIONS"), 200, "method", id="options-3"
        ),
        pytest.param(
            fields(cache_control="no-store, max-age=5"),
            make_request(),
            200,
            "no-store",
            id="no-store-5.2.2.5",
        ),
        pytest.param(
            fields(cache_control="no-store, max-age=5, must-understand"),
            make_request(),
            200,
            None,
            id="must-understand-understood-5.2.2.3",
        ),
        pytest.param(
            fields(cache_control="no-store, max-age=5, must-understand"),
            make_request(),
            599,
            "status",
            id="must-understand-unknown-5.2.2.3",
        ),
        pytest.param(
            fields(cache_control="private, max-age=5"), make_request(), 200, "private", id="private-5.2.2.7"
        ),
        pytest.param(
            fields(cache_control='private="x", max-age=5'),
            make_request(),
            200,
            None,
            id="private-fields-5.2.2.7",
        ),
        pytest.param(
            fields(cache_control="max-age=5", vary="Foo, *"),
            make_request(),
            200,
            "vary-star",
            id="vary-star-4.1",
        ),
        pytest.param(
            fields(cache_control="max-age=5", set_cookie="a=b"),
            make_request(),
            200,
            "set-cookie",
            id="cookie",
        ),
        pytest.param(
            fields(cache_control="max-age=5", set_cookie2="a=b"),
            make_request(),
            200,
            "set-cookie",
            id="cookie2",
        ),
        pytest.param(
            fields(cache_control='no-cache="set-cookie", max-age=5', set_cookie="a=b"),
            make_request(),
            200,
            None,
            id="cookie-left-out-5.2.2.4",
        ),
        pytest.param(
            fields(cache_control="max-age=5"), AUTHORIZED, 200, "authorization", id="authorization-3.5"
        ),
        pytest.param(
            fields(cache_control="max-age=5, public"), AUTHORIZED, 200, None, id="authorization-public-3.5"
        ),
        pytest.param(
            fields(cache_control="s-maxage=5"), AUTHORIZED, 200, None, id="authorization-s-maxage-3.5"
        ),
        pytest.param(
            fields(cache_control="max-age=5, must-revalidate"),
            AUTHORIZED,
            200,
            None,
            id="authorization-must-revalidate-3.5",
        ),
        pytest.param(fields(last_modified=-1000), make_request(), 200, None, id="heuristic-4.2.2"),
        pytest.param(
            fields(last_modified=-1000), make_request(), 201, "no-freshness", id="heuristic-201-4.2.2"
        ),
        pytest.param(
            fields(last_modified=-1000),
            WITH_COOKIE,
            200,
            "cookie-without-explicit-freshness",
            id="guess-cookie",
        ),
        pytest.param(fields(cache_control="max-age=5"), WITH_COOKIE, 200, None, id="explicit-cookie"),
        pytest.param(fields(), make_request(), 200, "no-freshness", id="nothing-said"),
        pytest.param(fields(etag='"1"'), make_request(), 200, None, id="only-a-validator"),
        pytest.param(
            fields(cache_control="no-cache"), make_request(), 200, "no-freshness", id="no-cache-no-validator"
        ),
        pytest.param(
            fields(cache_control="no-cache", etag='"1"'), make_request(), 200, None, id="no-cache-5.2.2.4"
        ),
        pytest.param(fields(cache_control="max-age=0"), make_request(), 200, "born-stale", id="born-stale"),
        pytest.param(
            fields(cache_control="max-age=0", etag="bad"),
            make_request(),
            200,
            "born-stale",
            id="malformed-etag",
        ),
        pytest.param(
            fields(cache_control="max-age=0, stale-while-revalidate=5"),
            make_request(),
            200,
            None,
            id="stale-but-usable-rfc5861",
        ),
        pytest.param(
            fields(cache_control="max-age=5"),
            make_request(fields={"Cache-Control": "no-store"}),
            200,
            "request-no-store",
            id="request-no-store-5.2.1.5",
        ),
        pytest.param(
            fields(cache_control="max-age=5", content_location="/p/1"),
            POST,
            200,
            None,
            id="post-rfc9110-9.3.3",
        ),
        pytest.param(
            fields(cache_control="max-age=5", content_location="/p/2"),
            POST,
            200,
            "method",
            id="post-elsewhere",
        ),
        pytest.param(fields(cache_control="max-age=5"), POST, 200, "method", id="post-says-not-where"),
        pytest.param(
            fields(content_location="/p/1", last_modified=-1000), POST, 200, "method", id="post-on-a-guess"
        ),
    ],
)
def test_an_answer_is_kept_unless_a_rule_forbids_it(
    answer: Fields, request_: Request, status: int, reason: str | None
) -> None:
    verdict = judged(answer, request=request_, status=status)
    assert (verdict if isinstance(verdict, NotStored) else None) == reason


def test_a_site_may_share_cookies() -> None:
    answer = fields(cache_control="max-age=5", set_cookie="a=b")
    assert isinstance(judged(answer, rules=SiteRules("shop", share_set_cookie=True)), Freshness)


def test_what_is_kept_is_less_what_belongs_to_one_exchange_or_one_asker() -> None:
    answer = Fields(
        [
            ("Cache-Control", 'max-age=5, no-cache="a", private="b"'),
            ("A", "1"),
            ("B", "2"),
            ("C", "3"),
            ("Connection", "d"),
            ("D", "4"),
            ("Age", "2"),
            ("Server-Timing", "db"),
            ("Cache-Tag", "x"),
        ]
    )
    kept = stored(answer)
    assert set(kept.fields.names()) == {"cache-control", "c", "cache-tag", "date"}
    assert kept.tags == ("x",)
    assert [name for name, _ in left_out(answer)] == ["A", "B", "Age", "Server-Timing"]


WORDS = st.lists(
    st.sampled_from(
        [
            "max-age=60",
            "s-maxage=60",
            "public",
            "private",
            "no-store",
            "must-revalidate",
            "no-cache",
            "must-understand",
            "stale-while-revalidate=60",
            "immutable",
        ]
    ),
    max_size=5,
).map(", ".join)


@given(WORDS, st.sampled_from([None, '"1"']), st.booleans(), st.booleans(), st.integers(200, 599))
def test_never_private_never_no_store_never_cookies(
    words: str, etag: str | None, cookie: bool, authorized: bool, status: int
) -> None:
    lines = (
        {"cache_control": words}
        | ({"etag": etag} if etag else {})
        | ({"set_cookie": "a=b"} if cookie else {})
    )
    verdict = judged(fields(**lines), request=AUTHORIZED if authorized else None, status=status)
    said = words.split(", ")
    if "private" in said or cookie or ("no-store" in said and "must-understand" not in said):
        assert isinstance(verdict, NotStored)
    if authorized and not {"public", "s-maxage=60", "must-revalidate"} & set(said):
        assert isinstance(verdict, NotStored)


VALUES = st.text(st.characters(max_codepoint=255)) | st.sampled_from(
    ["max-age=60", "*", 'W/"1"', "0", "bytes 0-1/2"]
)
LINES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "Cache-Control",
                "CDN-Cache-Control",
                "Vary",
                "ETag",
                "Last-Modified",
                "Date",
                "Age",
                "Expires",
                "Cache-Tag",
                "Connection",
                "Content-Location",
                "Set-Cookie",
                "Content-Length",
            ]
        ),
        VALUES,
    )
)


@given(LINES, LINES, st.sampled_from(["GET", "POST", "HEAD"]), st.integers(200, 599))
def test_no_answers_fields_make_judging_raise(
    lines: list[tuple[str, str]], asked: list[tuple[str, str]], method: str, status: int
) -> None:
    request, answer = make_request(fields=asked, method=method), Fields(lines)
    fresh = judged(answer, request=request, status=status)
    if isinstance(fresh, Freshness):
        entry = stored(answer, request=request, status=status)
        assert entry.freshness == fresh and fresh.age(0.0) >= 0
