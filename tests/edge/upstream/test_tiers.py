"""Who is asked before the origin: one way only, whatever nodes believe of the fleet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.asker import Tier
from edge.notation import Address
from edge.upstream.tiers import FROM_A_VISITOR, Fleet, Neighbour, Next, Peer, Worker, route

ADDRESS = Address("10.0.0.1", 8444)
WORKERS = tuple(Worker(number, f"/run/tepi/{number}") for number in range(4))
KEYS = [f"shop.test/p/{number}\x00http" for number in range(2000)]


def everybody(_: Neighbour) -> bool:
    return True


def fleet(name: str, pops: dict[str, str], workers: tuple[Worker, ...] = (), own: int = 0) -> Fleet:
    peers = tuple(Peer(other, pop, ADDRESS) for other, pop in pops.items() if other != name)
    return Fleet(name, pops[name], peers, workers, own)


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


def test_a_worker_asks_the_keys_owner_among_its_nodes_workers_first() -> None:
    hops = route(KEYS[0], "s", fleet("a-1", POPS, WORKERS, 0), FROM_A_VISITOR, everybody)
    owner = next(
        own
        for own in range(4)
        if not any(
            hop.inner
            for hop in route(KEYS[0], "s", fleet("a-1", POPS, WORKERS, own), FROM_A_VISITOR, everybody)
        )
    )
    assert owner == 0 or hops[0] == Next(WORKERS[owner], Tier.VISITOR, inner=True)


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
    workers=st.integers(0, 4),
    data=st.data(),
)
def test_a_request_always_comes_to_the_origin_whatever_nodes_believe(
    start: str,
    key: str,
    down: dict[str, set[str]],
    shields: dict[str, str | None],
    workers: int,
    data: st.DataObject,
) -> None:
    """By three nodes at most, and within each by one turn to another worker."""
    name, own, passed, hops, nodes = start, 0, FROM_A_VISITOR, 0, 1
    while True:
        here = fleet(name, POPS, WORKERS[:workers], own)
        found = route(key, shields[name], here, passed, Seen(down[name]))
        if not found:
            break
        hop = data.draw(st.sampled_from(found))  # those before it did not answer
        hops += 1
        assert (hop.tier, hop.inner) > (passed.tier, passed.inner) or hop.tier > passed.tier
        match hop.neighbour:
            case Worker(number=number):
                own = number
            case Peer(name=other):
                name, nodes = other, nodes + 1
                own = data.draw(st.integers(0, max(0, workers - 1)))
        passed = Passed(hop.tier, hop.inner)
    assert nodes <= 3
    assert hops <= 5
