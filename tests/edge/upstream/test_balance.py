"""Turns by weight, and paths by prefix."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.policy.paths import covers
from edge.upstream.balance import Turns, least_busy, longest, steady


@dataclass(frozen=True)
class Member:
    name: str
    weight: int
    busy: int = 0

    @property
    def url(self) -> str:
        return self.name


A, B, C = Member("a", 5), Member("b", 1), Member("c", 1)


def test_heavier_members_get_more_turns_and_turns_interleave() -> None:
    turns = Turns([A, B, C])
    order = "".join(member.name for _ in range(7) if (member := turns.next(lambda _: True)))
    assert order == "aabacaa"  # nginx's own example


def test_whoever_is_not_eligible_gets_no_turn() -> None:
    turns = Turns([A, B])
    assert {turns.next(lambda member: member is B) for _ in range(5)} == {B}
    assert turns.next(lambda _: False) is None


@given(st.lists(st.integers(1, 20), min_size=1, max_size=6))
def test_over_one_round_everyone_gets_exactly_his_share(weights: list[int]) -> None:
    members = [Member(str(at), weight) for at, weight in enumerate(weights)]
    turns = Turns(members)
    taken = Counter(turns.next(lambda _: True) for _ in range(sum(weights)))
    assert taken == {member: member.weight for member in members}


@pytest.mark.parametrize(
    ("prefix", "path", "expected"),
    [
        ("/", "/anything", True),
        ("/api", "/api", True),
        ("/api", "/api/x", True),
        ("/api", "/apix", False),
        ("/api/", "/api", False),
        ("/api/", "/api/x", True),
        ("/commerce", "/Commerce/x", False),
    ],
)
def test_a_prefix_covers_whole_segments(prefix: str, path: str, expected: bool) -> None:
    assert covers(prefix, path) is expected


def test_the_longest_prefix_wins() -> None:
    assert longest(["/", "/a", "/a/b"], "/a/b/c") == "/a/b"
    assert longest(["/", "/a", "/a/b"], "/a/bc") == "/a"
    assert longest(["/a"], "/b") is None


def test_the_least_busy_is_who_has_least_to_do_for_his_weight() -> None:
    heavy, light, idle = Member("heavy", 4, busy=8), Member("light", 1, busy=3), Member("idle", 2, busy=4)
    assert least_busy([heavy, light, idle]) == {heavy, idle}
    assert least_busy([light]) == {light}
    assert least_busy(()) == frozenset()


CLIENTS = st.lists(st.ip_addresses().map(str), min_size=1, max_size=20)


@given(CLIENTS, st.integers(0, 4))
def test_a_client_keeps_his_origin_unless_it_is_that_one_which_goes(clients: list[str], gone: int) -> None:
    members = [Member(f"http://10.0.0.{at}", 1 + at) for at in range(5)]
    left = [member for at, member in enumerate(members) if at != gone]
    for client in clients:
        before = steady(members, client)
        assert steady(list(reversed(members)), client) is before
        assert before is members[gone] or steady(left, client) is before


def test_clients_spread_by_weight() -> None:
    members = [Member("http://a", 3), Member("http://b", 1)]
    taken = Counter(member.name for at in range(4000) if (member := steady(members, f"192.0.2.{at}")))
    assert 0.7 < taken["http://a"] / 4000 < 0.8
    assert steady([], "192.0.2.1") is None
