"""What is wanted of a body, what lacks, what is asked, and what may be put together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Fields
from edge.http.ranges import Part
from edge.policy.decisions import Complete, Decision, Hit, Miss, Pass, Revalidate, Unavailable
from edge.policy.entry import Entry
from edge.policy.lookup import lookup
from edge.policy.partial import (
    Arrival,
    Asks,
    Lack,
    arrival,
    as_whole,
    asks,
    is_sliced,
    lack,
    named_by,
    rest_of,
    same_version,
    to_ask,
    to_fetch,
    validator,
)
from edge.policy.patterns import Patterns
from edge.policy.reasons import MissReason, PassReason, RevalidateReason
from edge.policy.rules import SliceRules
from tests.edge.policy.made import RULES, fields, stored
from tests.edge.stage import make_request


@dataclass(frozen=True)
class Held:
    """A body of which these parts are here."""

    size: int
    parts: tuple[Part, ...]
    sliced: bool = False
    completable: bool = True
    partial = True

    def gap(self, part: Part) -> Part | None:
        at = part.first
        for each in self.parts:
            if at < each.first:
                break
            at = max(at, each.end)
        if at >= part.end:
            return None
        after = next((each.first for each in self.parts if each.first > at), self.size)
        before = max((each.end for each in self.parts if each.end <= at), default=0)
        return Part(before, after - 1)


def in_parts(*parts: Part, size: int = 10, etag: str | None = '"v1"', **words: str | int) -> Entry:
    said = {"cache_control": "max-age=60", **({} if etag is None else {"etag": etag}), **words}
    return replace(stored(fields(**said)), content=Held(size, parts))


def decided(entry: Entry, now: float = 0.0, **words: str) -> Decision:
    request = make_request(fields={name.replace("_", "-"): value for name, value in words.items()})
    return lookup(request, [entry], RULES, now)


FIRST_HALF = in_parts(Part(0, 4))


@pytest.mark.parametrize(
    ("said", "came"),
    [
        ({"content_range": "bytes 0-4/10"}, Arrival(Part(0, 4), 10)),
        ({"content_range": "bytes 0-4/10", "content_length": "5"}, Arrival(Part(0, 4), 10)),
        ({"content_range": "bytes 4-9/10", "content_length": "5"}, Arrival(Part(4, 9), 10)),  # cut short
        ({"content_range": "bytes 0-4/10", "content_length": "6"}, None),
        ({"content_range": "bytes 0-4/*"}, None),
        ({"content_range": "bytes 5-4/10"}, None),
        ({"content_range": "lines 0-4/10"}, None),
        ({}, None),
        ({"content_range": "bytes 0-4/10", "content_encoding": "gzip"}, None),
        ({"content_range": "bytes 0-4/10", "content_type": "text/html; charset=utf-8"}, None),
        ({"content_type": "multipart/byteranges; boundary=x"}, None),
    ],
)
def test_what_a_206_brings(said: dict[str, str | int], came: Arrival | None) -> None:
    assert arrival(fields(**said)) == came


def test_a_part_is_kept_as_an_incomplete_whole() -> None:
    said = fields(content_range="bytes 0-4/10", content_length="5", etag='"v1"')
    assert as_whole(said, 10) == Fields([("etag", '"v1"'), ("Content-Length", "10")])


@pytest.mark.parametrize(
    ("said", "strong"),
    [
        ({"etag": '"v1"'}, '"v1"'),
        ({"etag": 'W/"v1"', "last_modified": -100}, None),
        ({"etag": "nonsense", "last_modified": -100}, None),
        ({"last_modified": "Fri, 15 Jan 2027 07:59:59 GMT"}, "Fri, 15 Jan 2027 07:59:59 GMT"),
        ({"last_modified": 0}, None),  # may change within the same second (RFC 9110 §8.8.2.2)
        ({}, None),
    ],
)
def test_what_vouches_for_bytes(said: dict[str, str | int], strong: str | None) -> None:
    assert validator(stored(fields(cache_control="max-age=60", date=0, **said))) == strong


@pytest.mark.parametrize(
    ("mine", "other", "same"),
    [
        ({"etag": '"v1"'}, {"etag": '"v1"'}, True),
        ({"etag": '"v1"'}, {"etag": '"v2"'}, False),
        ({"etag": '"v1"'}, {"etag": 'W/"v1"'}, False),
        ({"etag": 'W/"v1"'}, {"etag": 'W/"v1"'}, False),
        ({"etag": '"v1"'}, {}, False),
        ({"last_modified": -100}, {"last_modified": -100}, True),
        ({"last_modified": -100}, {"last_modified": -99}, False),
        ({"last_modified": -100}, {"last_modified": -100, "etag": '"v1"'}, False),
        ({}, {}, False),
    ],
)
def test_only_a_strong_validator_tells_that_bytes_are_of_one_version(
    mine: dict[str, str | int], other: dict[str, str | int], same: bool
) -> None:
    entry = stored(fields(cache_control="max-age=60", date=0, **mine))
    assert same_version(entry, fields(**other)) is same


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ({}, Asks.WHOLE),
        ({"Range": "bytes=0-"}, Asks.WHOLE),
        ({"Range": "bytes=1-"}, Asks.PART),
        ({"Range": "bytes=-5"}, Asks.PART),
        ({"Range": "lines=1-2"}, Asks.WHOLE),
        ({"Range": "bytes=2-1"}, Asks.WHOLE),
        ({"Range": "bytes=0-1,5-6"}, Asks.AS_IT_IS),
        ({"Range": "bytes=0-1", "If-Range": '"v1"'}, Asks.AS_IT_IS),
    ],
)
def test_what_is_asked_where_nothing_is_stored(said: dict[str, str], asked: Asks) -> None:
    request = make_request(fields=said)
    assert asks(request) is asked
    assert ("range" in named_by(request).fields) == (asked is not Asks.WHOLE)


@pytest.mark.parametrize(
    ("entry", "words", "decision"),
    [
        (FIRST_HALF, {"range": "bytes=1-3"}, Hit(FIRST_HALF)),
        (FIRST_HALF, {"range": "bytes=0-1,3-4"}, Hit(FIRST_HALF)),
        (FIRST_HALF, {"range": "bytes=20-"}, Hit(FIRST_HALF)),  # 416
        (FIRST_HALF, {"if_none_match": '"v1"'}, Hit(FIRST_HALF)),  # 304
        (FIRST_HALF, {}, Complete(FIRST_HALF, Lack(5, Part(5, 9), Part(0, 9)))),
        (FIRST_HALF, {"range": "bytes=3-6"}, Complete(FIRST_HALF, Lack(5, Part(5, 9), Part(3, 6)))),
        (
            FIRST_HALF,
            {"range": "bytes=-2", "if_range": '"v1"'},
            Complete(FIRST_HALF, Lack(8, Part(5, 9), Part(8, 9))),
        ),
        (
            FIRST_HALF,
            {"range": "bytes=1-3", "if_range": '"v0"'},
            Complete(FIRST_HALF, Lack(5, Part(5, 9), Part(0, 9))),
        ),
        (FIRST_HALF, {"range": "bytes=0-1,7-8"}, Pass(PassReason.RANGE)),
        (FIRST_HALF, {"range": "bytes=3-6", "cache_control": "only-if-cached"}, Unavailable()),
    ],
)
def test_what_is_decided_of_a_body_that_is_here_in_parts(
    entry: Entry, words: dict[str, str], decision: Decision
) -> None:
    assert decided(entry, **words) == decision


def test_without_a_strong_validator_only_what_is_here_is_served() -> None:
    weak = in_parts(Part(0, 4), etag=None)
    assert decided(weak, range="bytes=1-3") == Hit(weak)
    assert decided(weak, range="bytes=3-6") == Miss(MissReason.PARTIAL)
    assert decided(weak) == Miss(MissReason.PARTIAL)


def test_stale_parts_are_not_completed_without_asking() -> None:
    entry = in_parts(Part(0, 4), cache_control="max-age=60, stale-while-revalidate=60")
    assert decided(entry, now=70, range="bytes=3-6") == Revalidate(entry, RevalidateReason.STALE)


def test_head_needs_no_bytes() -> None:
    assert lack(make_request(method="HEAD"), FIRST_HALF) is None


def test_the_rest_is_asked_for_of_the_same_version_only() -> None:
    request = make_request(fields={"If-None-Match": '"mine"', "Range": "bytes=1-2", "If-Range": '"mine"'})
    assert rest_of(request, FIRST_HALF, Part(5, 9)).fields == Fields(
        [("Range", "bytes=5-"), ("If-Range", '"v1"')]
    )
    assert rest_of(request, FIRST_HALF, Part(5, 8)).fields.get("range") == "bytes=5-8"


@st.composite
def lacks(draw: st.DrawFn) -> tuple[Lack, int]:
    size = draw(st.integers(1, 10_000))
    at = draw(st.integers(0, size - 1))
    gap = Part(draw(st.integers(0, at)), draw(st.integers(at, size - 1)))
    want = Part(draw(st.integers(0, at)), draw(st.integers(at, size - 1)))
    return Lack(at, gap, want), size


@given(lacks(), st.integers(1, 3000), st.booleans())
def test_what_is_fetched_holds_what_lacks_and_nothing_that_is_here(
    case: tuple[Lack, int], slice_size: int, sliced: bool
) -> None:
    lacks, size = case
    part = to_fetch(lacks, size, slice_size, sliced=sliced)
    assert lacks.gap.first <= part.first <= lacks.at <= part.last <= min(lacks.gap.last, size - 1)
    assert part.first in (lacks.gap.first, lacks.at // slice_size * slice_size)
    if sliced:
        assert part.first // slice_size == part.last // slice_size
    else:
        assert part.last >= min(lacks.want.last, lacks.gap.last)
        assert part.last - lacks.want.last < slice_size


def test_a_body_in_slices_begins_with_what_is_here() -> None:
    film = replace(in_parts(Part(2, 4)), content=Held(10, (Part(2, 4),), sliced=True))
    assert decided(film, range="bytes=3-") == Hit(film)
    assert decided(film) == Complete(film, Lack(0, Part(0, 1), Part(0, 9)))
    assert decided(film, range="bytes=3-", cache_control="only-if-cached") == Unavailable()
    assert decided(film, range="bytes=2-3,7-8") == Pass(PassReason.RANGE)
    assert lack(make_request(fields={"Range": "bytes=3-"}), film) == Lack(5, Part(5, 9), Part(3, 9))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "bytes=0-9"),
        ({"Range": "bytes=0-"}, "bytes=0-9"),
        ({"Range": "bytes=25-27"}, "bytes=20-29"),
        ({"Range": "bytes=5-99"}, "bytes=0-9"),
        ({"Range": "bytes=-5"}, "bytes=-5"),
        ({"Range": "bytes=0-1,30-31"}, "bytes=0-1,30-31"),
    ],
)
def test_what_is_known_to_be_large_is_asked_for_in_slices(asked: dict[str, str], said: str) -> None:
    known = SliceRules(size=10, known=Patterns(("/p/*",)))
    request = make_request(fields=asked)
    assert to_ask(request, None, None, known).fields.get("range") == said
    assert to_ask(request, None, None, SliceRules(size=10)).fields.get("range") == named_by(
        request
    ).fields.get("range")


@pytest.mark.parametrize(
    ("rules", "size", "sliced"),
    [
        (SliceRules(), 1001, True),
        (SliceRules(), 1000, False),
        (SliceRules(over=2000), 1500, False),
        (SliceRules(over=500), 501, True),
        (SliceRules(learn=False), 10**9, False),
        (SliceRules(size=100, learn=False, known=Patterns(("/p/*",))), 101, True),
        (SliceRules(size=100, learn=False, known=Patterns(("/q/*",))), 101, False),
    ],
)
def test_which_bodies_are_sliced(rules: SliceRules, size: int, sliced: bool) -> None:
    assert is_sliced("/p/1", size, rules, 1000) is sliced


def test_a_stale_body_in_slices_is_asked_about_by_the_slice_that_is_wanted() -> None:
    film = replace(in_parts(Part(2, 4)), content=Held(100, (Part(2, 4),), sliced=True))
    question = to_ask(make_request(fields={"Range": "bytes=57-"}), film, None, SliceRules(size=10))
    assert (question.fields.get("if-none-match"), question.fields.get("range")) == ('"v1"', "bytes=50-59")
    assert to_ask(make_request(), FIRST_HALF, None, SliceRules()).fields.get("range") is None
