"""Members trade at the demo shop: a listing goes in at one node, and its page is fresh at all of them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
import pytest_asyncio

from tests.origin.p2p.members import ANI, RELAY, Line
from tests.origin.p2p.test_pages import ref
from tests.scenarios.fleet import Fleet, eventually

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("p2p"),
    pytest.mark.timeout(300),
]
SOON = 5.0  # seconds from a publication to its page at every node, on a busy machine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("p2p") / "state")
    try:
        await fleet.start()
        yield fleet
    finally:
        await fleet.end()


@asynccontextmanager
async def line(fleet: Fleet, session: aiohttp.ClientSession, edge: dict[str, str]) -> AsyncIterator[Line]:
    host = f"{fleet.ready['site']}:{edge['http'].rsplit(':', 1)[1]}"
    async with session.ws_connect(edge["http"] + RELAY, headers={"Host": host}) as socket:
        yield Line(socket, json.loads(await socket.receive_str(timeout=10))[1])


async def test_a_listing_is_fresh_at_every_node_soon_after_it_is_published(fleet: Fleet) -> None:
    nodes, now = fleet.ready["edges"], time.time()
    old = ANI.listing("lampu", "Lampu lama", at=now - 10)
    path = f"/commerce/p2p/l/{ref(old)}"
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        line(fleet, session, nodes[0]) as seller,
    ):

        async def shows(title: str, *, hit: bool = False) -> bool:
            pages = [await fleet.get(session, edge["http"], path) for edge in nodes]
            return all(title.encode() in page.body and (page.hit or not hit) for page in pages)

        async with line(fleet, session, nodes[1]) as buyer:
            await buyer.say("REQ", "baru", {"kinds": [30402]})
            assert await buyer.hear() == ["EOSE", "baru"]
            assert (await seller.publish(old))[2:] == [True, ""]
            assert await buyer.hear() == ["EVENT", "baru", old]
        await eventually(lambda: shows("Lampu lama", hit=True), 10)

        began = time.monotonic()
        assert (await seller.publish(ANI.listing("lampu", "Lampu baru", at=now)))[2] is True
        await eventually(lambda: shows("Lampu baru"), SOON)
        print(f"from publication to a fresh page at {len(nodes)} nodes: {time.monotonic() - began:.3f} s")

        assert (await seller.publish(ANI.sign(5, ("a", f"30402:{ANI.pubkey}:lampu"), at=now + 1)))[2] is True

        async def gone() -> bool:
            return all([(await fleet.get(session, edge["http"], path)).status == 404 for edge in nodes])

        await eventually(gone, SOON)
