"""A node with a store on disk, stopped and started again: what it serves, and what it must not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge.__main__ import running
from edge.config import EdgeConfig, parse_edge
from edge.document.problems import Refused
from edge.store.layered import LayeredStore
from tests.edge import wires
from tests.edge.nodes import Edge, config, document

CACHED = wires.says(b"x" * 40_000, "200 OK", "Cache-Control: max-age=600", "Cache-Tag: t")


def kept(directory: Path, origin: str, **changes: Any) -> EdgeConfig:
    return config(origin, store={"directory": str(directory), "disk": "64MiB"}, **changes)


async def test_a_restarted_node_answers_from_its_disk(tmp_path: Path) -> None:
    async with wires.origin(CACHED) as origin:
        for hits in range(3):
            async with running(kept(tmp_path, origin.url)) as made:
                reply = await Edge(made).get("/p")
                assert reply.body == b"x" * 40_000
                assert ("hit" in reply.fields["cache-status"]) == (hits > 0)
        assert len(origin.heard) == 1


async def test_a_purge_outlives_the_node(tmp_path: Path) -> None:
    async with wires.origin(CACHED) as origin:
        async with running(kept(tmp_path, origin.url)) as made:
            edge = Edge(made)
            await edge.get("/p")
            async with aiohttp.ClientSession() as session:
                document = {"kind": "tag", "value": "t", "dry_run": True}
                async with session.post(f"{edge.admin}/purge", json=document) as reply:
                    assert (await reply.json())["entries"] == 1
                async with session.post(f"{edge.admin}/purge", json={**document, "dry_run": False}) as reply:
                    assert (await reply.json())["entries"] == 1
        async with running(kept(tmp_path, origin.url)) as made:
            assert "hit" not in (await Edge(made).get("/p")).fields["cache-status"]
        assert len(origin.heard) == 2


async def test_a_site_that_became_another_is_forgotten(tmp_path: Path) -> None:
    async with wires.origin(CACHED) as origin:
        for site in ({}, {"hosts": ["shop.test"]}, {"hosts": ["shop.test"]}):
            async with running(kept(tmp_path, origin.url, site=site)) as made:
                await Edge(made).get("/p")
        assert len(origin.heard) == 2


async def test_metrics_and_explain_tell_of_the_disk(tmp_path: Path) -> None:
    async with wires.origin(CACHED) as origin, running(kept(tmp_path, origin.url)) as made:
        edge = Edge(made)
        await edge.get("/p")
        assert isinstance(made.store, LayeredStore)
        made.store.disk.settle()
        made.store.front.clear()
        async with aiohttp.ClientSession() as session:
            url = {"url": "http://shop.test/p"}
            async with session.post(f"{edge.admin}/explain", json=url) as reply:
                told = await reply.json()
            async with session.get(f"{edge.admin}/metrics") as reply:
                assert "tepi_edge_disk_entries 1.0" in await reply.text()
        assert told["decision"] == "hit"
        assert "disk" in str(next(step for step in told["steps"] if step["step"] == "stored"))


async def test_hits_of_the_lane_keep_an_answer_on_disk(tmp_path: Path) -> None:
    async with wires.origin(CACHED) as origin, running(kept(tmp_path, origin.url)) as made:
        edge = Edge(made)
        assert isinstance(made.store, LayeredStore)
        disk = made.store.disk
        await edge.get("/p")
        disk.settle()
        [found] = disk.find("shop.test/p\x00http")
        async with edge.visit() as visit:
            await visit.get("/p")
            for seat in range(100, 400):  # time passes by what comes; in one tick one use counts
                disk.seats.sit(seat, disk.place.size // 20, seat)
            before = disk.seats.uses(found.id)
            await visit.get("/p")
        assert sum(lane.answers for lane in made.lanes.values()) == 1
        assert disk.seats.uses(found.id) == before + 1


@pytest.mark.parametrize("below", ["file", "file/below"])
async def test_a_directory_that_is_a_file_is_refused_by_its_setting(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Refused, match=r"store\.directory: got .*file"):
        async with running(kept(tmp_path / below, "http://127.0.0.1:9")):
            pass


def test_a_store_smaller_than_one_object_is_refused_by_its_setting() -> None:
    store = {"directory": "/x", "disk": "8MiB", "max_object": "8MiB"}
    with pytest.raises(Refused, match=r"store\.disk: got .*, expected at least \d+ bytes"):
        parse_edge(document("http://127.0.0.1:9", store=store))
