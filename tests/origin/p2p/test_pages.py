"""Listings as pages: what they show, how long they hold, and what a change asks nodes to forget."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import aiohttp
import html5lib
import nostr_sdk as nostr
import pytest
from sqlalchemy import delete, select

from origin.db.tables import outbox
from origin.p2p.event import read
from origin.p2p.listing import check
from origin.p2p.naddr import naddr
from tests.origin.ledger.books import ENGINES, database_url
from tests.origin.p2p.members import ANI, BUDI, Market, market
from tests.origin.standing import NOON

YOGYA, SOLO, MEDAN = "qqwghs2", "qqwvtp1", "w88zsde"


@pytest.fixture(params=ENGINES)
async def bazaar(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Market]:
    with database_url(request.param) as url:
        async with market(tmp_path, url) as found:
            yield found


def ref(event: dict[str, Any]) -> str:
    listing = check(read(json.dumps(event).encode()))
    assert listing is not None
    return listing.ref


async def published(bazaar: Market, *events: dict[str, Any]) -> None:
    async with bazaar.line() as line:
        for event in events:
            told = await line.publish(event)
            assert told[2] is True, told


async def shown(bazaar: Market, path: str, status: int = 200) -> str:
    reply = await bazaar.edge.get(f"/commerce/p2p{path}")
    assert reply.status == status, (path, reply.body)
    return reply.body.decode()


async def names(bazaar: Market, path: str) -> list[str]:
    """The listings on a page, in their order."""
    tree = html5lib.parse(await shown(bazaar, path), namespaceHTMLElements=False)
    return ["".join(one.itertext()) for one in tree.iter("span") if one.get("class") == "name"]


async def purged(bazaar: Market) -> set[str]:
    """What nodes were asked to forget since this was asked last."""
    async with bazaar.origin.database.write() as connection:
        rows = await connection.execute(select(outbox.c.name).where(outbox.c.kind == "purge"))
        found = {row.name for row in rows}
        await connection.execute(delete(outbox).where(outbox.c.kind == "purge"))
    return found


async def test_a_listing_is_a_page_with_data_for_machines(bazaar: Market) -> None:
    evil = "</script><script>alert(1)</script>"
    lamp = ANI.listing(
        "lampu", f"Lampu {evil}", ("t", "rumah"), ("g", YOGYA), ("location", "Yogyakarta"),
        ("image", "https://cdn.test/a.webp"), content=f"Tinggi 40 cm {evil}",
    )  # fmt: skip
    await published(bazaar, lamp)
    for base, price in (("", "85.000"), ("/en", "85,000")):
        text = await shown(bazaar, f"{base}/l/{ref(lamp)}")
        assert "<script>alert" not in text
        tree = html5lib.parse(text, namespaceHTMLElements=False)
        assert tree.get("lang") == (base[1:] or "id")
        scripts = list(tree.iter("script"))
        assert [one.get("type") for one in scripts] == ["application/ld+json"]
        said = json.loads(scripts[0].text or "")
        assert (said["@type"], said["name"]) == ("Product", f"Lampu {evil}")
        assert said["offers"]["price"] == "85000.00"
        assert said["offers"]["availability"] == "https://schema.org/InStock"
        cards = {one.get("property"): one.get("content") for one in tree.iter("meta")}
        assert cards["og:image"] == "https://cdn.test/a.webp"
        assert price in text
        opens = next(one.get("href") for one in tree.iter("a") if one.get("class") == "call")
        found = nostr.Nip19Coordinate.from_bech32(opens.removeprefix("nostr:"))
        assert found.coordinate().identifier() == "lampu"
        assert found.coordinate().public_key().to_hex() == ANI.pubkey


async def test_feeds_by_place_and_category(bazaar: Market) -> None:
    await published(
        bazaar,
        ANI.listing("a", "Lampu", ("t", "Rumah"), ("g", YOGYA), at=NOON - 3),
        ANI.listing("b", "Meja", ("t", "rumah"), ("g", SOLO), at=NOON - 2),
        BUDI.listing("c", "Buku", ("t", "buku & majalah"), ("g", MEDAN), at=NOON - 1),
        BUDI.listing("d", "Laku", ("t", "rumah"), ("status", "sold")),
        BUDI.sign(30403, ("d", "e"), ("title", "Konsep")),
    )
    assert await names(bazaar, "/") == ["Buku", "Meja", "Lampu"]
    assert await names(bazaar, "/en/c/rumah/") == ["Meja", "Lampu"]
    assert await names(bazaar, "/c/buku%20%26%20majalah/") == ["Buku"]
    assert await names(bazaar, "/at/qqw/") == ["Meja", "Lampu"]
    assert await names(bazaar, f"/at/{YOGYA}/") == ["Lampu"]
    feed = ElementTree.fromstring(await shown(bazaar, "/c/rumah/feed.atom"))
    atom = "{http://www.w3.org/2005/Atom}"
    titles = [one.findtext(f"{atom}title", "").split(" · ")[0] for one in feed.iter(f"{atom}entry")]
    assert titles == ["Meja", "Lampu"]


async def test_a_search_by_words_price_and_distance(bazaar: Market) -> None:
    await published(
        bazaar,
        ANI.listing("a", "Sepeda lipat", ("g", YOGYA), price="1500000", at=NOON - 3),
        ANI.listing("b", "Sepeda ontel", ("g", SOLO), price="900000", at=NOON - 2),
        BUDI.listing("c", "Sepeda anak", ("g", MEDAN), price="300000", at=NOON - 1),
        BUDI.listing("d", "Helm sepeda", price="100000"),
    )
    assert await names(bazaar, "/search?q=SEPEDA+lipat") == ["Sepeda lipat"]
    assert await names(bazaar, "/search?q=sepeda&min=300000&max=900000") == ["Sepeda anak", "Sepeda ontel"]
    assert await names(bazaar, f"/search?near={YOGYA}&km=100") == ["Sepeda lipat", "Sepeda ontel"]
    assert await names(bazaar, f"/search?near={SOLO}&km=100") == ["Sepeda ontel", "Sepeda lipat"]
    assert await names(bazaar, f"/search?near={YOGYA}&km=10") == ["Sepeda lipat"]
    for query, why in (
        ("near=aa", "near: got"), ("km=0", "km: got"), ("min=x", "min: amount"),
        ("currency=XXY", "currency: got"), ("near=me", "near: got"),
    ):  # fmt: skip
        assert why in await shown(bazaar, f"/search?{query}", 422)


async def test_a_change_purges_exactly_the_pages_that_show_it(bazaar: Market) -> None:
    old = ANI.listing("a", "Lampu", ("t", "rumah"), ("g", "qqw"), at=NOON - 10)
    await published(bazaar, old, BUDI.listing("b", "Buku", ("t", "buku"), ("g", "w88")))
    await purged(bazaar)

    moved = ANI.listing("a", "Lampu", ("t", "lampu"), ("g", "qqu"), at=NOON - 9)
    await published(bazaar, moved)
    page = f"p2p-{ref(old)}"
    first = await purged(bazaar)
    assert {page, "p2p-new", "p2p-g-q", "p2p-g-qq", "p2p-g-qqw", "p2p-g-qqu"} <= first
    assert len(first) == 8  # and both categories
    assert not {"p2p-g-w", f"p2p-{ref(BUDI.listing('b', 'Buku'))}"} & first

    await published(bazaar, old)  # a replay changes nothing
    assert await purged(bazaar) == set()
    await published(bazaar, ANI.sign(5, ("e", moved["id"])))
    assert {page, "p2p-g-qqu"} <= await purged(bazaar)
    await shown(bazaar, f"/en/l/{ref(old)}", 404)


async def test_pages_hold_no_longer_than_what_they_show(bazaar: Market) -> None:
    brief = ANI.listing("a", "Durian", ("expiration", str(int(NOON) + 60)))
    await published(bazaar, brief)
    async with aiohttp.ClientSession() as session:
        for path, seconds in ((f"/l/{ref(brief)}", 60), ("/", 60), ("/c/lain/", 600)):
            async with session.get(f"{bazaar.url}/commerce/p2p{path}") as answer:
                assert f"s-maxage={seconds}" in answer.headers["Cache-Control"].split(", ")
    bazaar.clock.now += 61
    assert await bazaar.plugin.relay.store.listing(ref(brief)) is None


@pytest.mark.parametrize("d", ["", "a", "lampu jati 🪔", "x" * 200])
def test_an_address_is_spelled_as_nostr_sdk_reads_it(d: str) -> None:
    found = nostr.Nip19Coordinate.from_bech32(
        naddr(30402, ANI.pubkey, d, "wss://shop.test/commerce/p2p/relay")
    )
    assert found.coordinate().identifier() == d
    assert found.coordinate().kind().as_u16() == 30402
    assert found.coordinate().public_key().to_hex() == ANI.pubkey
