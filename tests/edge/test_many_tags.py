"""Tags by the thousand: fields of 16 KiB and more are taken, and cost their number, not its square."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from edge.policy.tags import TAG_FIELDS
from edge.purge import Groups, Names, PurgeLog, Tag
from edge.store.index import NameIndex
from edge.store.memory import MemoryStore
from edge.upstream.collapse import Flights
from tests.edge.nodes import node
from tests.edge.store.test_memory import entry
from tests.edge.wires import Heard, answer, origin

FIELD = 16 * 1024  # bytes


def long_field(prefix: str) -> str:
    """As many tags as a field of 16 KiB holds."""
    tags = [f"{prefix}-{number:06}" for number in range(FIELD // (len(prefix) + 8))]
    return ",".join(tags)


async def test_an_answer_with_every_tag_field_full_is_stored_and_purged_by_its_last_tag() -> None:
    fields = {name: long_field(name[0]) for name in TAG_FIELDS}
    lines = [f"{name}: {value}" for name, value in fields.items()] + [
        f"xkey: k{number}" for number in range(3000)
    ]

    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"page", "200 OK", "Cache-Control: max-age=60", *lines))

    assert min(map(len, fields.values())) > FIELD - 10
    async with origin(script) as shop, node(shop.url) as edge:
        for tag in (*(value.rpartition(",")[2] for value in fields.values()), "k2999"):
            before = len(shop.heard)
            first, second = await edge.get("/p"), await edge.get("/p")
            assert (first.status, second.body, len(shop.heard)) == (200, b"page", before + 1)
            assert not set(TAG_FIELDS) & set(second.fields)
            assert await edge.running.node.forget({"kind": "tag", "value": tag}) == {"entries": 1}


async def test_a_tag_in_letters_beyond_ascii_can_be_purged() -> None:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        lines = ["HTTP/1.1 200 OK", "Cache-Control: max-age=60", "Cache-Tag: voilà, été", "Content-Length: 0"]
        writer.write("\r\n".join([*lines, "", ""]).encode())

    async with origin(script) as shop, node(shop.url) as edge:
        for tag in ("voilà", "été"):
            await edge.get("/p")
            assert await edge.running.node.forget({"kind": "tag", "value": tag}) == {"entries": 1}
        assert len(shop.heard) == 2


# What it costs, counted -------------------------------------------------------------------------


class Counted(str):
    """A tag that counts how often it is compared with another that is not itself."""

    __slots__ = ()
    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


@contextmanager
def comparisons() -> Iterator[list[int]]:
    Counted.compared = 0
    counted: list[int] = []
    yield counted
    counted.append(Counted.compared)


MANY = 4000


def test_a_fill_with_many_tags_meets_many_purges_without_comparing_each_with_each() -> None:
    log = PurgeLog()
    order = log.begin()
    for number in range(MANY):
        log.record(Tag(Counted(f"other-{number}")))
        log.record(Groups("http://shop.test", frozenset({Counted(f"other-{number}")})))
    tags = tuple(Counted(f"tag-{number}") for number in range(MANY))
    with comparisons() as counted:
        assert log.struck(order, Names("k", "s", tags, tags)) is None  # type: ignore[arg-type]
    assert counted[0] < 10 * MANY


def test_a_purge_meets_many_fills_under_way_without_reading_all_their_tags() -> None:
    flights = Flights()
    tags = tuple(f"tag-{number}" for number in range(MANY))
    arriving = [entry(f"/{number}", tags=tags) for number in range(20)]
    for one in arriving:
        flights.join(one)
    with comparisons() as counted:
        assert flights.struck(Tag(Counted("other"))) == []
    assert counted[0] < 10 * len(arriving)
    assert flights.struck(Tag("tag-3999")) == arriving


@pytest.mark.parametrize("many", [100, 200, 4000])
def test_storing_and_dropping_an_entry_touches_each_of_its_tags_once(
    many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []
    for deed in ("add", "discard"):
        done = getattr(NameIndex, deed)

        def noted(self: NameIndex, name: str, one: object, done=done, deed=deed) -> None:  # type: ignore[no-untyped-def]
            touched.append(deed)
            done(self, name, one)

        monkeypatch.setattr(NameIndex, deed, noted)
    store = MemoryStore(10**8, 10**6)
    tags = tuple(f"tag-{number}" for number in range(many))
    one = entry("/p", tags=tags)
    store.put(one)
    store.drop(one)
    assert touched == ["add"] * many + ["discard"] * many


def test_a_purge_looks_at_what_it_strikes_and_at_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore(10**9, 10**6)
    common = tuple(f"common-{number}" for number in range(50))
    for number in range(1000):
        store.put(entry(f"/{number}", tags=(*common, f"page-{number}")))
    dropped: list[str] = []
    forget = MemoryStore.forget
    monkeypatch.setattr(
        MemoryStore, "forget", lambda self, slot: (dropped.append(slot.key), forget(self, slot))[1]
    )
    monkeypatch.setattr(Tag, "strikes", None)  # the index finds them; nothing is asked one by one
    sweep = store.strike(Tag("page-7"), 0.0)
    assert sweep.step(10)
    assert dropped == ["shop.test/7\x00http"]
    assert len(store.struck_by(Tag("common-0"))) == 999
