"""The memory store: its budget is kept, its sums are true, its indexes agree."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge.http.message import Answer, Fields
from edge.policy.entry import Entry
from edge.policy.freshness import Freshness, Timing
from edge.policy.key import key_of
from edge.policy.rules import SiteRules
from edge.policy.storing import judge, make_entry
from edge.position import ALONE
from edge.purge import Groups, Keys, Mark, Prefix, Site, Tag
from edge.store.content import Stored
from edge.store.memory import MemoryStore, weigh
from tests.edge.stage import T0, make_request

RULES = SiteRules("shop")
TIMING = Timing(0.0, 0.0, T0)


def entry(
    path: str = "/",
    *,
    size: int = 100,
    tags: tuple[str, ...] = (),
    site: str = "shop",
    foo: str | None = None,
    groups: tuple[str, ...] = (),
) -> Entry:
    """An entry as the pipeline makes them, with the fields of an ordinary answer."""
    request = make_request(path, {} if foo is None else {"Foo": foo})
    lines = [
        ("Date", "Fri, 15 Jan 2027 08:00:00 GMT"),
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(size)),
        ("Cache-Control", "max-age=60"),
        ("ETag", f'"{path}-{size}"'),
        ("Strict-Transport-Security", "max-age=31536000"),
    ]
    if foo is not None:
        lines.append(("Vary", "Foo"))
    if tags:
        lines.append(("Cache-Tag", ",".join(tags)))
    if groups:
        lines.append(("Cache-Groups", ", ".join(f'"{group}"' for group in groups)))
    answer = Answer(200, Fields((str(name), bytes(value, "ascii").decode()) for name, value in lines))
    fresh = judge(request, 200, answer.fields, TIMING, RULES)
    assert isinstance(fresh, Freshness)
    return make_entry(
        request, 200, answer.fields, TIMING, fresh, Stored(bytes(size)), site=site, order=0, position=ALONE
    )


def test_what_is_put_is_got_in_every_variant() -> None:
    store = MemoryStore(10**6, 10**5)
    one, two = entry(foo="1"), entry(foo="2")
    assert store.put(one) and store.put(two)
    assert list(store.get(one.key)) == [one, two]
    assert store.get("elsewhere") == ()


def test_a_newer_answer_takes_its_variants_place() -> None:
    store = MemoryStore(10**6, 10**5)
    old, new = entry(foo="1"), entry(foo="1", size=5)
    store.put(old)
    store.put(new)
    assert list(store.get(new.key)) == [new]
    assert store.size - store.opened == weigh(new)


def test_an_entry_larger_than_everything_is_refused() -> None:
    store = MemoryStore(10_000, 10_000)
    assert not store.put(entry(size=10_000))
    assert (len(store), store.size) == (0, 0)


def test_the_budget_is_never_exceeded_and_what_is_used_stays() -> None:
    store = MemoryStore(100_000, 50_000)
    loved = entry("/loved", size=1000)
    store.put(loved)
    for number in range(200):
        store.use(loved)
        store.put(entry(f"/{number}", size=1000))
        assert store.size <= store.budget
    assert store.holds(loved)
    assert store.evictions > 100


def test_of_what_is_never_used_the_older_goes_first() -> None:
    store = MemoryStore(100_000, 50_000)
    entries = [entry(f"/{number}", size=1000) for number in range(120)]
    for one in entries:
        store.put(one)
    kept = [store.holds(one) for one in entries]
    assert 0 < sum(kept) < 120
    assert sum(kept[-30:]) > 2 * sum(kept[:30])


def test_a_new_entry_is_not_the_first_to_go_where_all_others_are_used() -> None:
    store = MemoryStore(50_000, 20_000)
    for number in range(100):
        one = entry(f"/{number}", size=9000)
        assert store.put(one)
        for other in range(number + 1):
            for kept in store.get(key_of(make_request(f"/{other}"))):
                store.use(kept)
        assert store.holds(one)


def test_what_does_not_fit_beside_bodies_under_way_is_refused() -> None:
    store = MemoryStore(50_000, 50_000)
    assert store.reserve(25_000)
    assert not store.put(entry(size=30_000))
    assert (len(store), store.size) == (0, 25_000)
    assert store.put(entry(size=10_000))


def test_an_encoding_that_was_made_counts() -> None:
    store = MemoryStore(10**6, 10**5)
    one = entry()
    store.put(one)
    before = store.size - store.opened
    assert isinstance(one.content, Stored)
    one.content.encoded["br"] = bytes(50)
    store.reweigh(one)
    assert store.size - store.opened == before + 50


def test_room_for_bodies_under_way_comes_out_of_the_same_budget() -> None:
    store = MemoryStore(100_000, 50_000)
    for number in range(100):
        store.put(entry(f"/{number}", size=1000))
    assert store.reserve(50_000)
    assert store.size <= store.budget
    assert not store.reserve(1)
    store.release(50_000)
    assert store.reserved == 0


@pytest.mark.parametrize("budget", [10**9, 10**7], ids=["all open", "most at rest"])
def test_bytes_are_counted_as_they_are(budget: int) -> None:
    """The overheads are honest: the sum is no less than what Python takes, and not half as much again."""
    gc.collect()
    tracemalloc.start()
    store = MemoryStore(budget, 10**6)
    before, _ = tracemalloc.get_traced_memory()
    for number in range(2000):
        store.put(entry(f"/product/{number}", tags=(f"product-{number}", "all", f"category-{number % 10}")))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    used = after - before
    assert used <= store.size <= used * 1.5


@pytest.mark.parametrize("mark", [Tag("none"), Site("none"), Prefix("none"), Keys(("none",))], ids=str)
def test_a_mark_that_strikes_nothing_costs_nothing(mark: Mark) -> None:
    store = MemoryStore(10**6, 10**5)
    store.put(entry(tags=("a",)))
    sweep = store.strike(mark, 0.0)
    assert (sweep.found, sweep.step(1), len(store)) == (0, True, 1)


PATHS = st.sampled_from(["/", "/a", "/a/1", "/ab", "/b"])
TAGS = st.sets(st.sampled_from("xyz"), max_size=3).map(lambda tags: tuple(sorted(tags)))
SITES = st.sampled_from(["shop", "other"])


class StoreAgainstModel(RuleBasedStateMachine):
    """Whatever happens, the store and a plain list agree, and its sums and indexes are true."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore(60_000, 20_000)
        self.known: list[Entry] = []
        self.period = 0
        self.used: dict[Entry, int] = {}  # when each was last used, in periods

    @rule()
    def turn(self) -> None:
        self.store.heat.turn()
        self.period += 1

    @rule(
        path=PATHS,
        tags=TAGS,
        groups=TAGS,
        site=SITES,
        size=st.integers(0, 9000),
        foo=st.sampled_from([None, "1", "2"]),
    )
    def put(
        self,
        path: str,
        tags: tuple[str, ...],
        groups: tuple[str, ...],
        site: str,
        size: int,
        foo: str | None,
    ) -> None:
        one = entry(path, size=size, tags=tags, site=site, foo=foo, groups=groups)
        assert self.store.put(one)
        self.known = [
            other for other in self.known if (other.key, other.selection) != (one.key, one.selection)
        ] + [one]

    @rule(path=PATHS)
    def use(self, path: str) -> None:
        for one in self.store.get(key_of(make_request(path))):
            self.store.use(one)
            self.used[one] = self.period

    @rule(path=PATHS)
    def drop(self, path: str) -> None:
        for one in tuple(self.store.get(key_of(make_request(path)))):
            self.store.drop(one)
            self.known.remove(one)

    @rule(
        mark=st.one_of(
            st.builds(Tag, st.sampled_from("xyz"), st.one_of(st.none(), SITES), st.booleans()),
            st.builds(Site, SITES, st.booleans()),
            st.builds(
                Groups,
                st.sampled_from(["http://shop.test", "https://shop.test"]),
                st.frozensets(st.sampled_from("xyz"), min_size=1),
                st.booleans(),
            ),
            st.builds(Prefix, st.sampled_from(["shop.test/", "shop.test/a"]), st.booleans()),
        )
    )
    def purge(self, mark: Mark) -> None:
        struck = [one for one in self.known if self.store.holds(one) and mark.strikes(one)]
        assert set(self.store.struck_by(mark)) == set(struck)
        sweep = self.store.strike(mark, 1.0)
        assert sweep.found == len(struck)
        while not sweep.step(2):
            pass
        if mark.soft:
            softened = {id(one) for one in struck}
            self.known = [one for one in self.known if id(one) not in softened]
            for one in struck:
                again = next(other for other in self.store.get(one.key) if other.selection == one.selection)
                assert again.freshness.ttl(1.0) <= 0
                self.known.append(again)
                if one in self.used:
                    self.used[again] = self.used[one]
        else:
            self.known = [one for one in self.known if one not in struck]

    @invariant()
    def sums_are_true(self) -> None:
        for one in self.known:  # to look at one may push another out
            assert one in self.store.get(one.key) or not self.store.holds(one)
        self.known = [one for one in self.known if self.store.holds(one)]
        assert len(self.store) == len(self.known)
        assert self.store.size - self.store.opened == sum(map(weigh, self.known))
        assert self.store.size <= self.store.budget
        weights = [self.store.weight(one) for one in self.known]
        assert [size for size, _ in weights] == list(map(weigh, self.known))
        assert sum(hot for _, hot in weights) == self.store.heat.hot
        for one, (size, hot) in zip(self.known, weights, strict=True):
            lately = self.used.get(one, -9) >= self.period - 1
            assert hot in ((size,) if lately and not self.store.evictions else (0, size) if lately else (0,))


TestStoreAgainstModel = StoreAgainstModel.TestCase
TestStoreAgainstModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_what_is_not_stored_weighs_nothing() -> None:
    store = MemoryStore(10**6, 10**5)
    assert store.weight(entry()) == (0, 0)
