"""What a node alone knows to be outdated: never forgotten in a way that lets something older through."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge.outdated import BROAD, KEYS, Outdated
from edge.purge import Groups, Keys, Mark, Names, Prefix, Site, Tag

KEY = "shop.test/a/1\x00http"
marks = st.one_of(
    st.sampled_from([KEY, "shop.test/b\x00http"]).map(lambda key: Keys((key,))),
    st.text("ab/", max_size=3).map(lambda end: Prefix(f"shop.test/{end}")),
    st.builds(Tag, st.text("xy", max_size=3), st.sampled_from([None, "shop", "other"])),
    st.frozensets(st.text("xy", min_size=1, max_size=3), min_size=1).map(
        lambda groups: Groups("http://shop.test", groups)
    ),
    st.sampled_from(["shop", "other"]).map(Site),
)


@given(st.lists(marks, max_size=200), st.frozensets(st.text("xy", max_size=3)))
def test_whatever_may_have_struck_a_key_counts(struck: list[Mark], names: frozenset[str]) -> None:
    outdated = Outdated()
    for at, mark in enumerate(struck):
        outdated.record(mark, float(at))
    one = Names(KEY, "shop", names, names)
    last = max((at for at, mark in enumerate(struck) if mark.strikes(one)), default=None)
    since = outdated.since(KEY, "shop")
    assert last is None or (since is not None and since >= last)


def test_what_nothing_has_struck_may_be_of_any_age() -> None:
    outdated = Outdated()
    outdated.record(Site("other"), 1.0)
    outdated.record(Keys(("shop.test/b\x00http",)), 2.0)
    assert outdated.since(KEY, "shop") is None


def test_what_is_forgotten_counts_for_every_key() -> None:
    outdated = Outdated()
    for at in range(KEYS + 10):
        outdated.record(Keys((f"shop.test/{at}\x00http",)), float(at))
    assert outdated.since(KEY, "shop") == 9.0
    for at in range(BROAD + 1):
        outdated.record(Tag(str(at), "other"), 20_000.0 + at)
    assert outdated.since(KEY, "shop") == 20_000.0
