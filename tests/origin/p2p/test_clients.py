"""A client of others' making, nostr-sdk, agrees with the relay through a real node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import nostr_sdk as nostr
import pytest

from tests.edge.nodes import Edge, node
from tests.origin.p2p.members import RELAY, market

TAGS = [
    ["d", "lampu"], ["title", "Lampu jati"], ["price", "85000", "IDR"], ["t", "rumah"],
    ["g", "qqguw"], ["location", "Yogyakarta"], ["image", "https://cdn.test/a.webp", "800x600"],
]  # fmt: skip


def address(edge: Edge) -> nostr.RelayUrl:
    return nostr.RelayUrl.parse(f"ws://127.0.0.1:{edge.port()}{RELAY}")


@asynccontextmanager
async def client(url: nostr.RelayUrl) -> AsyncIterator[nostr.Client]:
    made = nostr.ClientBuilder().build()
    await made.add_relay(url)
    await made.connect()
    try:
        yield made
    finally:
        await made.shutdown()


def listing(keys: nostr.Keys, tags: list[list[str]], content: str, at: int) -> nostr.Event:
    draft = nostr.EventBuilder(nostr.Kind(30402), content).tags([nostr.Tag.parse(tag) for tag in tags])
    return draft.custom_created_at(nostr.Timestamp.from_secs(at)).finalize(keys)


async def found(asker: nostr.Client, url: nostr.RelayUrl, wanted: nostr.Filter) -> list[nostr.Event]:
    return await asker.fetch_events(nostr.ReqTarget.single(url, [wanted]), timeout=timedelta(seconds=10))


async def test_nostr_sdk_publishes_finds_replaces_and_deletes(tmp_path: Path) -> None:
    keys = nostr.Keys.generate()
    async with (
        market(tmp_path) as bazaar,
        node(bazaar.url) as other,
        client(address(bazaar.edge)) as seller,
        client(address(other)) as buyer,
    ):
        bazaar.clock.now = 1_790_000_000.0
        first = listing(keys, TAGS, "Tinggi 40 cm, “baru” 🪔\n", 1_789_000_000)
        sent = await seller.send_event(first)
        assert (len(sent.success), sent.failed) == (1, {})
        kind = nostr.Filter().kind(nostr.Kind(30402))
        heard = await found(buyer, address(other), kind.hashtag("rumah"))
        assert [one.as_json() for one in heard] == [first.as_json()]
        assert heard[0].verify()
        assert len(await found(buyer, address(other), nostr.Filter().search("lampu jati"))) == 1

        second = listing(keys, TAGS, "Turun harga", 1_789_000_001)
        await seller.send_event(second)
        heard = await found(buyer, address(other), kind.author(keys.public_key()))
        assert [one.id().to_hex() for one in heard] == [second.id().to_hex()]

        wish = nostr.EventBuilder(nostr.Kind(5), "").tags([nostr.Tag.parse(["e", second.id().to_hex()])])
        await seller.send_event(
            wish.custom_created_at(nostr.Timestamp.from_secs(1_789_000_002)).finalize(keys)
        )
        assert await found(buyer, address(other), kind) == []


async def test_nostr_sdk_is_told_why_not(tmp_path: Path) -> None:
    async with market(tmp_path) as bazaar, client(address(bazaar.edge)) as seller:
        bazaar.clock.now = 1_790_000_000.0
        nameless = listing(nostr.Keys.generate(), TAGS[2:], "", 1_789_000_000)
        try:
            sent = await asyncio.wait_for(seller.send_event(nameless), 20)
        except nostr.NostrSdkError as error:
            pytest.fail(f"expected a refusal, got {error}")
        assert "invalid: d: " in next(iter(sent.failed.values()))
        assert sent.success == []
