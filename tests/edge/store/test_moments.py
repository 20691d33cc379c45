"""Whether what others have stored is older than a purge of its own: never said to be newer than it is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.position import ALONE, Position
from edge.purge import Groups, Keys, Mark, Names, Prefix, Site, Tag
from edge.store.moments import SKEW, Moments

KEY = "shop.test/a/1\x00http"
HTTP = "http://shop.test"
marks = st.one_of(
    st.sampled_from([KEY, "shop.test/b\x00http"]).map(lambda key: Keys((key,))),
    st.sampled_from(["shop.test/a", "shop.test/b", ""]).map(Prefix),
    st.builds(Tag, st.sampled_from(["red", "blue"]), st.sampled_from([None, "shop", "other"])),
    st.frozensets(st.sampled_from(["one", "two"]), min_size=1).map(lambda groups: Groups(HTTP, groups)),
    st.sampled_from(["shop", "other"]).map(Site),
)
ONE = Names(KEY, "shop", frozenset({"red"}), frozenset({"one"}))


@given(
    st.lists(st.tuples(marks, st.booleans(), st.floats(0, 10)), max_size=30),
    st.integers(0, 12),
    st.integers(1, 6),
)
def test_nothing_is_taken_that_a_purge_has_struck_since(
    purges: list[tuple[Mark, bool, float]], filled_at: int, limit: int
) -> None:
    """A fill that began after so many of the journal's events, in whose time the others came."""
    moments, number, wall = Moments(limit), 0, 1000.0
    moments.begin(Position("line", 0), wall)
    struck, began = False, 0.0
    for at, (mark, journaled, pause) in enumerate(purges):
        if at == filled_at:
            began, filled = wall, number
        wall += pause
        number += journaled
        moments.record(mark, Position("line", number), wall)
        struck = struck or (at >= filled_at and mark.strikes(ONE))
    if not began:
        began, filled = wall, number
    taken = not moments.strikes(ONE, Position("line", filled), began)
    assert not (taken and struck)


def test_what_no_purge_names_is_taken() -> None:
    moments = Moments()
    moments.begin(Position("line", 3), 1000.0)
    moments.record(Tag("blue"), Position("line", 4), 1001.0)
    assert not moments.strikes(ONE, Position("line", 3), 999.0)
    assert moments.strikes(ONE, Position("line", 2), 1002.0)  # of before this node knew anything
    assert moments.strikes(ONE, Position("other", 3), 1002.0)


def test_without_a_journal_the_clock_tells() -> None:
    moments = Moments()
    moments.begin(ALONE, 1000.0)
    assert moments.strikes(ONE, ALONE, 1000.0)
    assert not moments.strikes(ONE, ALONE, 1001.0)
    moments.record(Site("shop"), ALONE, 1005.0)
    assert moments.strikes(ONE, ALONE, 1005.0 + SKEW)
    assert not moments.strikes(ONE, ALONE, 1005.1 + SKEW)
