"""Names elsewhere, asked of a resolver (here a name server of another zone), for ALIAS records."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

from geo.dns.answer import Flattened, Responder
from geo.dns.flatten import Flattener, targets
from geo.dns.server import Server
from geo.dns.zone import wire_name
from geo.fleet import Fleet
from tests.geo.dns.zones import zone_of
from tests.geo.worlds import LOOKUP, ZONE

LOOPBACK = "127.0.0.1"
ELSEWHERE = replace(ZONE, name="other.test")
FAR = wire_name("shop.other.test")


def elsewhere(text: str) -> Responder:
    return Responder((zone_of(text, ELSEWHERE),), frozenset(), Fleet(), LOOKUP)


@contextlib.asynccontextmanager
async def flattening(server: Server) -> AsyncIterator[tuple[Flattener, asyncio.Queue[Flattened]]]:
    heard: asyncio.Queue[Flattened] = asyncio.Queue()
    flattener = Flattener([LOOPBACK], heard.put_nowait, port=server.addresses[0][1])
    task = asyncio.create_task(flattener.run())
    try:
        yield flattener, heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_only_names_outside_the_zones_are_asked_for() -> None:
    zones = (zone_of("@ ALIAS shop.other.test.\nx ALIAS y\ny A 192.0.2.1\n"),)
    assert targets(Responder(zones, frozenset(), Fleet(), LOOKUP)) == {FAR}


async def test_addresses_are_learnt_kept_while_nobody_answers_and_forgotten_with_their_record() -> None:
    server = Server(elsewhere("shop A 192.0.2.9\nshop A 192.0.2.8\n"), [(LOOPBACK, 0)])
    await server.start()
    async with flattening(server) as (flattener, heard), asyncio.timeout(20):
        flattener.watch(frozenset({FAR}))
        known = await heard.get()
        assert [record.data for record in known[FAR, 1]] == [bytes((192, 0, 2, 8)), bytes((192, 0, 2, 9))]
        assert known[FAR, 28] == ()
        server.use(elsewhere("x A 192.0.2.1\n"))
        flattener.watch(frozenset())
        flattener.watch(frozenset({FAR}))
        known = await heard.get()
        assert known == {(FAR, 1): (), (FAR, 28): ()}
    await server.stop()


async def test_a_resolver_that_is_away_takes_nothing_back() -> None:
    server = Server(Responder((ELSEWHERE,), frozenset({"shop.other.test"}), Fleet(), LOOKUP), [(LOOPBACK, 0)])
    await server.start()
    async with flattening(server) as (flattener, heard), asyncio.timeout(20):
        flattener.watch(frozenset({FAR}))  # answered SERVFAIL: a fleet without nodes
        server.use(elsewhere("shop A 192.0.2.9\n"))
        assert [record.data for record in (await heard.get())[FAR, 1]] == [bytes((192, 0, 2, 9))]
    await server.stop()
