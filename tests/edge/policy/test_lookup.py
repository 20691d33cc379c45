"""Lookup (RFC 9111 §4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Fields, Request
from edge.policy.decisions import Decision, Hit, Miss, Pass, Revalidate, Stale, Unavailable
from edge.policy.entry import Entry
from edge.policy.freshness import Timing
from edge.policy.lookup import could_answer, lookup
from edge.policy.rules import SiteRules
from tests.edge.policy.made import RULES, fields, stored
from tests.edge.stage import T0, make_request

HEEDING = SiteRules("shop", obey_reload=True)
FRESH = stored(fields(cache_control="max-age=60, stale-while-revalidate=10", etag='"1"'))
STRICT = stored(fields(cache_control="max-age=60, must-revalidate", etag='"1"'))


def told(decision: Decision) -> str:
    return f"{type(decision).__name__} {getattr(decision, 'reason', '')}".strip()


def asked(**wishes: str) -> Request:
    return make_request(fields=[(name.replace("_", "-"), value) for name, value in wishes.items()])


@pytest.mark.parametrize(
    ("request_", "entries", "now", "decision"),
    [
        (asked(), (), 0, "Miss uri-miss"),
        (asked(), (FRESH,), 0, "Hit"),
        (asked(), (FRESH,), 59.9, "Hit"),
        (asked(), (FRESH,), 60, "Stale stale-while-revalidate"),
        (asked(), (FRESH,), 69.9, "Stale stale-while-revalidate"),
        (asked(), (FRESH,), 70, "Revalidate stale"),
        (asked(), (STRICT,), 60, "Revalidate stale"),
        (asked(), (stored(fields(cache_control="no-cache", etag='"1"')),), 0, "Revalidate no-cache"),
        (asked(authorization="x"), (FRESH,), 0, "Miss authorization"),
        (asked(authorization="x"), (STRICT,), 0, "Hit"),
        (asked(range="bytes=0-1"), (FRESH,), 0, "Hit"),
        (asked(range="bytes=0-1"), (), 0, "Miss uri-miss"),
        (asked(range="bytes=0-1,5-6"), (), 0, "Pass range"),
        (asked(range="bytes=0-1", if_range='"v1"'), (), 0, "Pass range"),
        (asked(if_match='"1"'), (FRESH,), 0, "Pass precondition"),
        (asked(if_unmodified_since="x"), (FRESH,), 0, "Pass precondition"),
        (asked(if_none_match='"1"'), (FRESH,), 0, "Hit"),
        (make_request(method="POST"), (FRESH,), 0, "Pass method"),
        (make_request(method="get"), (FRESH,), 0, "Pass method"),
        (make_request(method="HEAD"), (FRESH,), 0, "Hit"),
        (make_request(body=b"x"), (FRESH,), 0, "Pass request-body"),
        (asked(cache_control="max-stale"), (FRESH,), 10**6, "Stale max-stale"),
        (asked(cache_control="max-stale=20"), (FRESH,), 80, "Stale max-stale"),
        (asked(cache_control="max-stale=20"), (FRESH,), 80.5, "Revalidate stale"),
        (asked(cache_control="max-stale"), (STRICT,), 61, "Revalidate stale"),
        (asked(cache_control="only-if-cached"), (), 0, "Unavailable"),
        (asked(cache_control="only-if-cached"), (FRESH,), 0, "Hit"),
        (asked(cache_control="only-if-cached"), (FRESH,), 65, "Stale stale-while-revalidate"),
        (asked(cache_control="only-if-cached"), (FRESH,), 75, "Unavailable"),
        (asked(cache_control="only-if-cached", if_match='"1"'), (FRESH,), 0, "Unavailable"),
        (make_request(method="POST", fields={"Cache-Control": "only-if-cached"}), (), 0, "Pass method"),
    ],
)
def test_decisions(request_: Request, entries: tuple[Entry, ...], now: float, decision: str) -> None:
    assert told(lookup(request_, entries, RULES, now)) == decision


@pytest.mark.parametrize(
    ("wish", "heeded"),
    [
        ({"cache_control": "no-cache"}, "Revalidate request"),
        ({"pragma": "no-cache"}, "Revalidate request"),
        ({"pragma": "no-cache", "cache_control": "x"}, "Hit"),
        ({"cache_control": "max-age=0"}, "Revalidate request"),
        ({"cache_control": "max-age=10"}, "Hit"),
        ({"cache_control": "max-age=9"}, "Revalidate request"),
        ({"cache_control": "min-fresh=50"}, "Hit"),
        ({"cache_control": "min-fresh=51"}, "Revalidate request"),
    ],
)
def test_a_clients_wish_for_newer_answers_counts_where_the_site_lets_it(
    wish: dict[str, str], heeded: str
) -> None:
    assert told(lookup(asked(**wish), (FRESH,), HEEDING, 10.0)) == heeded
    assert told(lookup(asked(**wish), (FRESH,), RULES, 10.0)) == "Hit"


@pytest.mark.parametrize(
    ("wish", "heeded"),
    [
        ("max-age=100", "Revalidate request"),  # §5.2.1.1: nothing stale without max-stale
        ("max-age=100, max-stale", "Stale stale-while-revalidate"),
        ("min-fresh=1", "Revalidate request"),
        ("x", "Stale stale-while-revalidate"),
    ],
)
def test_who_wishes_for_newer_answers_wants_no_stale_ones(wish: str, heeded: str) -> None:
    assert told(lookup(asked(cache_control=wish), (FRESH,), HEEDING, 65.0)) == heeded
    assert told(lookup(asked(cache_control=wish), (FRESH,), RULES, 65.0)) == "Stale stale-while-revalidate"


def test_what_was_filled_before_trust_was_lost_is_asked_about_even_if_stale_would_do() -> None:
    old, new = (
        stored(fields(cache_control="max-age=60"), order=3),
        stored(fields(cache_control="max-age=60"), order=4),
    )
    assert told(lookup(asked(), (old,), RULES, 0.0, trusted=4)) == "Revalidate distrusted"
    assert told(lookup(asked(), (new,), RULES, 0.0, trusted=4)) == "Hit"


def kept(heard: float, **words: str | int) -> Entry:
    return stored(fields(cache_control="max-age=60", **words), timing=Timing(heard, heard, T0 + heard))


@pytest.mark.parametrize(
    ("chosen", "other"),
    [
        pytest.param(kept(0, vary="Foo", date=0), kept(5, vary="Bar", date=-1), id="newer-date-4"),
        pytest.param(kept(5, vary="Foo", date=0), kept(0, vary="Bar", date=0), id="later-arrival"),
        pytest.param(kept(0, date=1), kept(5, date=0), id="newer-date-without-vary-4"),
        pytest.param(kept(0, vary="Foo", date=-9), kept(5, date=0), id="one-with-vary-4.1"),
        pytest.param(kept(0, vary="Accept-Encoding", date=-9), kept(5, date=0), id="vary-on-ours-4.1"),
    ],
)
def test_of_several_that_fit_one_with_vary_and_then_the_most_recent_is_taken(
    chosen: Entry, other: Entry
) -> None:
    for entries in ((chosen, other), (other, chosen)):
        decision = lookup(asked(), entries, RULES, 6.0)
        assert isinstance(decision, Hit) and decision.entry is chosen


def test_what_could_answer_fits_the_request_fresh_or_not() -> None:
    fitting = stored(fields(cache_control="max-age=1", vary="Foo"), request=asked(foo="1"))
    other = stored(fields(cache_control="max-age=1", vary="Foo"), request=asked(foo="2"))
    assert could_answer(asked(foo="1"), (fitting, other, STRICT)) == (fitting, STRICT)
    assert could_answer(asked(foo="1", authorization="x"), (fitting, other, STRICT)) == (STRICT,)


def test_other_variants_are_another_kind_of_miss() -> None:
    entry = stored(fields(cache_control="max-age=60", vary="Foo"), request=asked(foo="1"))
    assert told(lookup(asked(foo="2"), (entry,), RULES, 0.0)) == "Miss vary-miss"


ANSWERS = st.lists(
    st.sampled_from(["max-age=5", "no-cache", "must-revalidate", "stale-while-revalidate=5", "public"])
)
WISHES = st.sampled_from(
    ["", "no-cache", "max-age=0", "max-stale", "min-fresh=3", "only-if-cached", "no-store"]
)


@given(ANSWERS, WISHES, st.booleans(), st.floats(0, 100), st.booleans())
def test_no_decision_serves_against_the_origins_word(
    words: list[str], wish: str, authorized: bool, now: float, heeding: bool
) -> None:
    entry = stored(fields(cache_control=", ".join(words), etag='"1"'))
    wishes = {"cache_control": wish} | ({"authorization": "x"} if authorized else {})
    decision = lookup(asked(**wishes), (entry,), HEEDING if heeding else RULES, now)
    fresh = entry.freshness.ttl(now) > 0
    match decision:
        case Hit():
            assert fresh and "no-cache" not in words
        case Stale():
            assert not fresh and not {"no-cache", "must-revalidate"} & set(words)
        case Unavailable():
            assert wish == "only-if-cached"
        case Miss():
            assert authorized and not {"public", "must-revalidate"} & set(words)
        case Revalidate() | Pass():
            pass
    if authorized and isinstance(decision, (Hit, Stale)):
        assert {"public", "must-revalidate"} & set(words)


@given(st.text(), st.text())
def test_no_field_value_makes_lookup_raise(control: str, language: str) -> None:
    entry = stored(fields(cache_control="max-age=60", vary="Accept-Language"))
    request = make_request(fields=Fields([("Cache-Control", control), ("Accept-Language", language)]))
    lookup(request, (entry,), HEEDING, 0.0)
