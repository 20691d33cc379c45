"""Who is asked before the origin: one way only, whatever nodes believe of the fleet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.document.notation import Address
from edge.http.asker import Tier
from edge.upstream.tiers import FROM_A_VISITOR, Fleet, Neighbour, Next, Peer, Worker, route

ADDRESS = Address("10.0.0.1", 8444)
WORKERS = tuple(Worker(number, f"/run/tepi/{number}") for number in range(4))
KEYS = [f"shop.test/p/{number}\x00http" for number in range(2000)]


def everybody(_: Neighbour) -> bool:
    return True


def fleet(name: str, pops: dict[str, str]) -> Fleet:
    peers = tuple(Peer(other, pop, ADDRESS) for other, pop in pops.items() if other != name)
    return Fleet(name, pops[name], peers)


@dataclass(frozen=True)
class Passed:
    tier: Tier
    inner: bool


POPS = {"a-1": "a", "a-2": "a", "a-3": "a", "s-1": "s", "s-2": "s"}


def test_nodes_of_a_pop_agree_on_the_owner_and_share_the_keys_evenly() -> None:
    owners: Counter[str] = Counter()
    for key in KEYS:
        told = {
            name: next((hop.neighbour.name for hop in hops if isinstance(hop.neighbour, Peer)), name)
            for name in ("a-1", "a-2", "a-3")
            for hops in (route(key, None, fleet(name, POPS), FROM_A_VISITOR, everybody),)
        }
        assert len(set(told.values())) == 1
        owners[told["a-1"]] += 1
    assert all(550 < owners[name] < 790 for name in ("a-1", "a-2", "a-3"))


def test_who_leaves_takes_nobody_elses_keys_along() -> None:
    def owner(key: str, up: Callable[[Neighbour], bool]) -> Neighbour | None:
        hops = route(key, None, fleet("a-1", POPS), FROM_A_VISITOR, up)
        return hops[0].neighbour if hops else None

    for key in KEYS[:300]:
        before = owner(key, everybody)
        after = owner(key, lambda one: not (isinstance(one, Peer) and one.name == "a-2"))
        if not (isinstance(before, Peer) and before.name == "a-2"):
            assert after == before


@pytest.mark.parametrize(
    ("passed", "tiers"),
    [
        pytest.param(FROM_A_VISITOR, {Tier.OWNER, Tier.SHIELD}, id="a-visitors"),
        pytest.param(Passed(Tier.OWNER, False), {Tier.SHIELD}, id="as-the-owner"),
        pytest.param(Passed(Tier.SHIELD, False), set(), id="as-the-shield"),
    ],
)
def test_hops_lead_to_higher_tiers_only(passed: Passed, tiers: set[Tier]) -> None:
    found = {hop.tier for key in KEYS for hop in route(key, "s", fleet("a-1", POPS), passed, everybody)}
    assert found == tiers


def test_the_shields_own_visitors_go_by_its_owner_alone() -> None:
    hops = [route(key, "s", fleet("s-1", POPS), FROM_A_VISITOR, everybody) for key in KEYS[:100]]
    assert {hop.tier for found in hops for hop in found} == {Tier.OWNER}


def test_the_worker_that_fetches_is_asked_first_and_asks_no_other_worker() -> None:
    def asked(passed: Passed, up: Callable[[Neighbour], bool] = everybody) -> tuple[Next, ...]:
        return route(KEYS[0], "s", fleet("a-1", POPS), passed, up, WORKERS[1])

    first, *further = asked(Passed(Tier.OWNER, False))
    assert first == Next(WORKERS[1], Tier.OWNER, inner=True)
    assert further == list(asked(Passed(Tier.OWNER, True)))
    assert further == list(asked(Passed(Tier.OWNER, False), lambda one: one is not WORKERS[1]))


@dataclass(frozen=True)
class Seen:
    """One node's view of who is up."""

    down: set[str]

    def __call__(self, one: Neighbour) -> bool:
        return not (isinstance(one, Peer) and one.name in self.down)


names = st.sampled_from(sorted(POPS))
views = st.fixed_dictionaries({name: st.sets(names) for name in POPS})  # who believes that whom is down


@given(
    start=names,
    key=st.text(),
    down=views,
    shields=st.fixed_dictionaries({n: st.sampled_from(["a", "s", "x", None]) for n in POPS}),
    data=st.data(),
)
def test_a_request_always_comes_to_the_origin_whatever_nodes_believe(
    start: str, key: str, down: dict[str, set[str]], shields: dict[str, str | None], data: st.DataObject
) -> None:
    """By three nodes at most, and within each by one turn to another worker."""
    name, passed, hops, nodes = start, FROM_A_VISITOR, 0, 1
    while True:
        holder = data.draw(st.sampled_from([None, *WORKERS]))
        found = route(key, shields[name], fleet(name, POPS), passed, Seen(down[name]), holder)
        if not found:
            break
        hop = data.draw(st.sampled_from(found))  # those before it did not answer
        hops += 1
        assert (hop.tier, hop.inner) > (passed.tier, passed.inner) or hop.tier > passed.tier
        if isinstance(hop.neighbour, Peer):
            name, nodes = hop.neighbour.name, nodes + 1
        passed = Passed(hop.tier, hop.inner)
    assert nodes <= 3
    assert hops <= 5
