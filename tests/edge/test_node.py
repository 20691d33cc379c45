"""What a node does with what control says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.journal import Event, Kind, Snapshot
from edge.position import Position
from tests.edge.certificates import Authority
from tests.edge.nodes import HOST, Edge, node
from tests.edge.wires import Origin, origin, says

CACHED = says(b"page", "200 OK", "Cache-Control: max-age=60", "Cache-Tag: red")


def event(kind: Kind, number: int = 1, /, **body: Any) -> Event:
    return Event(Position("line", number), kind, body)


def site(shop: Origin, name: str = "shop", *hosts: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "hosts": list(hosts or (HOST,)), "origins": [{"url": shop.url}], **more}


async def is_hit(edge: Edge, path: str = "/p", host: str = HOST) -> bool:
    return "; hit" in (await edge.get(path, Host=host)).fields["cache-status"]


async def test_sites_come_and_go_with_the_journal() -> None:
    async with origin(CACHED) as shop, node(shop.url, site={"hosts": ["seed.test"]}) as edge:
        told = edge.running.node
        assert (await edge.get()).status == 421
        await told.apply(event("site.put", 1, **site(shop, "two")))
        assert (await edge.get("/p")).status == 200
        assert told.position == Position("line", 1)
        await told.apply(event("site.delete", 2, name="two"))
        assert (await edge.get("/p")).status == 421
        await told.apply(event("site.put", 3, **site(shop, "two")))
        assert not await is_hit(edge)


async def test_a_host_that_moves_to_another_site_is_not_answered_from_the_olds_store() -> None:
    async with origin(CACHED) as one, origin(says(b"other")) as two, node(one.url) as edge:
        told = edge.running.node
        await told.apply(event("site.put", 1, **site(one, "one")))
        await edge.get("/p")
        assert await is_hit(edge)
        await told.apply(event("site.put", 2, **site(two, "two")))
        assert (await edge.get("/p")).body == b"other"


async def test_a_site_that_changes_keeps_what_is_stored() -> None:
    async with origin(CACHED) as shop, node(shop.url) as edge:
        told = edge.running.node
        await told.apply(event("site.put", 1, **site(shop)))
        await edge.get("/p")
        await told.apply(event("site.put", 2, **site(shop, "shop", HOST, "www.shop.test")))
        assert await is_hit(edge)


async def test_pages_that_a_site_shared_otherwise_are_forgotten() -> None:
    async with origin(CACHED) as shop, node(shop.url) as edge:
        told = edge.running.node
        await told.apply(event("site.put", 1, **site(shop)))
        for number, pages in enumerate(({"mark": True}, {"mark": True, "seconds": 5}, None), 2):
            await edge.get("/p")
            assert await is_hit(edge)
            more = {} if pages is None else {"pages": pages}
            await told.apply(event("site.put", number, **site(shop, **more)))
            assert not await is_hit(edge)


async def test_what_was_proven_outlives_what_happens_to_other_sites() -> None:
    page = says(b"<body>x", "200 OK", "Content-Type: text/html", "Set-Cookie: sid=1")
    async with origin(page) as shop, node(shop.url, site={"pages": {"mark": True}}) as edge:
        await edge.get("/p/1")
        assert await is_hit(edge, "/p/1")
        await edge.running.node.apply(event("site.put", 1, **site(shop, "other", "other.test")))
        assert "unproven" not in (await edge.get("/p/2")).fields["cache-status"]
        changed = site(shop, "shop", "*", pages={"mark": True, "seconds": 5})
        await edge.running.node.apply(event("site.put", 2, **changed))
        assert "unproven" in (await edge.get("/p/3")).fields["cache-status"]


async def test_a_site_that_can_not_be_read_leaves_the_old_one() -> None:
    async with origin(CACHED) as shop, node(shop.url) as edge:
        with pytest.raises(ValueError, match=r"hosts: got \[\]"):
            await edge.running.node.apply(event("site.put", 1, **{**site(shop), "hosts": []}))
        assert (await edge.get("/p")).status == 200


async def test_a_purge_is_done_when_it_is_acknowledged() -> None:
    async with origin(CACHED) as shop, node(shop.url) as edge:
        told = edge.running.node
        for number, purge in enumerate(
            (
                {"kind": "tag", "value": "red"},
                {"kind": "tag", "value": "red", "site": "shop"},
                {"kind": "url", "value": f"http://{HOST}/p"},
                {"kind": "prefix", "value": f"http://{HOST}/"},
                {"kind": "site", "value": "shop"},
                {"kind": "site", "value": HOST},
            )
        ):
            await edge.get("/p")
            assert await is_hit(edge)
            await told.apply(event("purge", number, id=f"p{number}", soft=False, **purge))
            assert not await is_hit(edge), purge
        await told.apply(event("purge", 10, id="x", kind="tag", value="red", site="other", soft=False))
        assert await is_hit(edge)


def tagged(shop: Origin, value: str) -> dict[str, Any]:
    """The site with a field on every answer, so that it shows which document a node goes by."""
    return {**site(shop), "answer_fields": [{"set": {"X-Rules": value}}]}


async def test_a_trial_is_for_the_nodes_that_it_names_until_the_next_document() -> None:
    async with origin(CACHED) as shop, node(shop.url, site=tagged(shop, "old")) as edge:
        told = edge.running.node
        told.name = "jakarta"

        async def rules() -> str | None:
            return (await edge.get("/p")).fields.get("x-rules")

        await told.apply(event("site.put", 1, **tagged(shop, "old")))
        await told.apply(event("site.try", 2, site=tagged(shop, "new"), nodes=["frankfurt"]))
        assert await rules() == "old"
        await told.apply(event("site.try", 3, site=tagged(shop, "new"), nodes=["frankfurt", "jakarta"]))
        assert await rules() == "new"
        await told.apply(event("site.put", 4, **tagged(shop, "old")))
        assert await rules() == "old"
        trial = {"site": tagged(shop, "new"), "nodes": ["jakarta"]}
        await told.load(Snapshot(Position("a", 5), (tagged(shop, "old"),), (), (), (trial,)))
        assert await rules() == "new"
        told.name = "virginia"
        await told.load(Snapshot(Position("a", 6), (tagged(shop, "old"),), (), (), (trial,)))
        assert await rules() == "old"


async def test_a_snapshot_replaces_everything_and_makes_old_entries_prove_themselves() -> None:
    async with origin(CACHED) as shop, node(shop.url, site={"hosts": [HOST]}) as edge:
        await edge.get("/p")
        told = edge.running.node
        await told.load(Snapshot(Position("new", 9), (site(shop, "fresh"),), (), ()))
        assert [each.name for each in edge.running.node.sites.all()] == ["fresh"]
        before = len(shop.heard)
        assert not await is_hit(edge)
        assert len(shop.heard) == before + 1
        assert told.position == Position("new", 9)


async def test_one_bad_site_in_a_snapshot_does_not_hold_up_the_others() -> None:
    async with origin(CACHED) as shop, node(shop.url) as edge:
        bad = {**site(shop), "origins": []}
        good = site(shop, "good", "good.test")
        with pytest.raises(ValueError, match="site shop: origins"):
            await edge.running.node.load(Snapshot(Position("new", 1), (bad, good), (), ()))
        assert (await edge.get("/", Host="good.test")).status == 200
        assert edge.running.node.sites.named("shop") is not None


async def test_certificates_are_fetched_kept_and_shown(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path)
    pair = authority.issue("made", HOST)
    away = False

    async def fetch(name: str) -> Mapping[str, str]:
        if away:
            raise ValueError("control is away")
        assert name == "shop"
        return {"certificate": pair.cert.read_text(), "key": pair.key.read_text()}

    async with origin(CACHED) as shop, node(shop.url) as edge:
        told = edge.running.node
        told.fetch_certificate, told.keys = fetch, tmp_path / "keys"
        await told.apply(event("certificate.put", 1, name="shop", hosts=[HOST]))
        assert told.certificates.find(HOST) is not None
        assert (tmp_path / "keys" / "shop.key.pem").stat().st_mode & 0o777 == 0o600
        assert edge.running.node.certificates.find("other.test") is None

        away = True
        told.certificates.keep_only(frozenset())
        await told.load(Snapshot(Position("new", 2), (site(shop),), (), ({"name": "shop", "hosts": [HOST]},)))
        assert told.certificates.find(HOST) is not None
        with pytest.raises(ValueError, match="control is away"):
            await told.apply(event("certificate.put", 3, name="shop", hosts=[HOST]))
        with pytest.raises(ValueError, match="control is away"):
            await told.apply(event("certificate.put", 4, name="never-seen", hosts=["x.test"]))


async def test_commands_are_carried_out_or_refused_in_a_sentence() -> None:
    async with origin(CACHED) as shop, node(shop.url) as edge:
        told = edge.running.node
        await edge.get("/p")
        explained = await told.command("explain", {"url": f"http://{HOST}/p", "fields": {"Accept": "*/*"}})
        assert (explained["decision"], explained["site"]) == ("hit", "shop")
        cold = await told.command("dry-run", {"kind": "tag", "value": "red"})
        assert (cold["entries"], cold["hot_bytes"], cold["hot_share"]) == (1, 0, 0.0)
        assert await is_hit(edge)
        hot = await told.command("dry-run", {"kind": "tag", "value": "red"})
        assert hot["bytes"] == hot["hot_bytes"] == hot["hot_bytes_stored"] > 4
        assert hot["hot_share"] == 1.0
        for verb, body in (("dance", {}), ("explain", {}), ("dry-run", {"kind": "tag"})):
            with pytest.raises(ValueError, match="expected"):
                await told.command(verb, body)


async def test_heartbeats_carry_figures() -> None:
    async with origin(CACHED) as shop, node(shop.url) as edge:
        await edge.get("/p")
        await edge.get("/p")
        figures = edge.running.node.heartbeat()
        assert (figures["requests"], figures["hits"], figures["misses"]) == (2, 1, 1)
        assert (figures["bytes_sent"], figures["bytes_origin"]) == (8, 4)
        assert figures["store"]["entries"] == 1
        assert 4 < figures["store"]["bytes"] < figures["store"]["budget"]
