from __future__ import annotations

from collections.abc import Callable, Hashable

from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Client, Fields
from edge.http.recording import Recording, Watched

NAMES = ("cookie", "accept", "x-a", "vary-me")
lines = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["", "a", "b", "a; b"])), max_size=5)
Ask = Callable[[Fields], tuple[Fields, Hashable]]


def first(values: tuple[str, ...]) -> str | None:
    return values[0][:1] if values else None


def size(fields: Fields) -> int:
    return len(list(fields))


def short(name: str) -> bool:
    return len(name) < 6


def ask(kind: str, name: str) -> Ask:
    """One thing that policy does with fields: what it goes on with, and what it has learnt."""

    def does(fields: Fields) -> tuple[Fields, Hashable]:
        match kind:
            case "get":
                return fields, fields.get(name)
            case "all":
                return fields, fields.all(name)
            case "in":
                return fields, name in fields
            case "seen":
                return fields, fields.seen(name, first)
            case "surveyed":
                return fields, fields.surveyed(size)
            case "names":
                return fields, tuple(fields.names())
            case "lines":
                return fields, fields.lines
            case "without":
                return fields.without(name), None
            case "kept":
                return fields.kept(short), None
            case "plus":
                return fields.plus((name, "ours")), None
            case _:
                return fields.replaced(name, "ours"), None

    return does


KINDS = ("get", "all", "in", "seen", "surveyed", "names", "lines", "without", "kept", "plus", "replaced")
policies = st.lists(st.builds(ask, st.sampled_from(KINDS), st.sampled_from(NAMES)), max_size=6)


def learnt(policy: list[Ask], fields: Fields) -> list[Hashable]:
    found = []
    for does in policy:
        fields, what = does(fields)
        found.append(what)
    return found


@given(policies, lines, lines)
def test_where_the_conditions_hold_policy_learns_the_same(
    policy: list[Ask], one: list[tuple[str, str]], other: list[tuple[str, str]]
) -> None:
    recording = Recording(one)
    told = learnt(policy, recording)
    assert told == learnt(policy, Fields(one))
    if all(question.of(Fields(other)) == answer for question, answer in recording.conditions()):
        assert learnt(policy, Fields(other)) == told


@given(lines)
def test_what_nobody_asked_for_is_no_condition(said: list[tuple[str, str]]) -> None:
    recording = Recording(said)
    assert recording.conditions() == ()
    assert recording.without("cookie").get("cookie") is None
    assert recording.replaced("x-a", "ours").get("x-a") == "ours"
    assert recording.conditions() == ()


def test_a_client_tells_what_was_looked_at() -> None:
    client = Watched(Client("192.0.2.1", 80, "ID", 64500))
    assert client.seen() == frozenset()
    assert (client.country, client.seen()) == ("ID", {"country"})
    assert client.address == "192.0.2.1"
    assert client.seen() == {"country", "address"}
