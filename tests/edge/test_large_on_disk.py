"""Bodies too large for memory, of origins that know no ranges: kept on disk, and streamed from there."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.policy.rules import SiteRules, SliceRules
from edge.position import ALONE
from edge.purge import Purge
from edge.store.layered import LayeredStore
from tests.edge.films import Film, content
from tests.edge.stage import HandClock, Reply, Stage, make_request
from tests.edge.store.disks import MIB, layered
from tests.edge.test_slicing import SLICE

FILM = content(40 * SLICE + 1000)
MEMORY = 8 * SLICE


def cinema(film: Film, store: LayeredStore, clock: HandClock) -> Stage:
    return Stage(film, SiteRules("shop", slices=SliceRules(SLICE)), clock=clock, layered=store)


@pytest.mark.parametrize("changed", [{"etag": None}, {"etag": 'W/"v1"'}, {"ranges": False}], ids=str)
async def test_a_large_body_is_kept_on_disk_and_streamed_from_there(
    tmp_path: Path, changed: dict[str, object]
) -> None:
    film, clock = Film(FILM, **changed), HandClock()  # type: ignore[arg-type]
    with layered(tmp_path, memory=MEMORY, max_object=SLICE, size=64 * MIB, clock=clock) as store:
        stage = cinema(film, store, clock)
        assert (await stage.ask()).body == FILM
        assert store.front.size <= MEMORY
    with layered(tmp_path, memory=MEMORY, max_object=SLICE, size=64 * MIB, clock=clock) as store:
        stage = cinema(film, store, clock)
        reply = await stage.ask()
        assert (reply.verdict, reply.body) == ("hit", FILM)
        part = await stage.ask(fields={"Range": f"bytes={9 * SLICE + 5}-{11 * SLICE}"})
        assert (part.status, part.verdict) == (206, "hit")
        assert part.body == FILM[9 * SLICE + 5 : 11 * SLICE + 1]
        assert store.front.size <= MEMORY
        assert len(film.asked) == 1
        await stage.pipeline.purge(Purge("site", "shop"), ALONE)
        assert (await stage.ask()).verdict == "miss"


async def test_one_that_broke_off_is_fetched_again(tmp_path: Path) -> None:
    film, clock = Film(FILM, etag=None, cut=20 * SLICE), HandClock()
    with layered(tmp_path, memory=MEMORY, max_object=SLICE, clock=clock) as store:
        stage = cinema(film, store, clock)
        with pytest.raises(Exception, match=r"."):
            await stage.ask()
        film.cut = None
        reply = await stage.ask()
        assert (reply.verdict, reply.body) == ("miss", FILM)
        assert (await stage.ask()).verdict == "hit"


async def test_who_asks_while_it_passes_by_reads_along(tmp_path: Path) -> None:
    film, clock = Film(FILM, etag=None), HandClock()
    with layered(tmp_path, memory=MEMORY, max_object=SLICE, clock=clock) as store:
        stage = cinema(film, store, clock)
        first = await stage.pipeline.handle(make_request())
        assert not isinstance(first.body, bytes)
        begun = await anext(first.body)
        second = await Reply.of(await stage.pipeline.handle(make_request()))
        rest = b"".join([piece async for piece in first.body])
        assert begun + rest == second.body == FILM
        assert len(film.asked) == 1


async def test_one_that_the_disk_has_no_room_for_is_passed_on(tmp_path: Path) -> None:
    film, clock = Film(FILM, etag=None), HandClock()
    with layered(tmp_path, memory=MEMORY, max_object=SLICE, size=16 * MIB, clock=clock) as store:
        stage = cinema(film, store, clock)
        assert len(FILM) > store.largest
        assert (await stage.ask()).body == FILM
        assert (await stage.ask()).verdict == "miss"


async def test_a_slice_that_was_harmed_on_disk_is_not_served(tmp_path: Path) -> None:
    film, clock = Film(FILM), HandClock()
    with layered(tmp_path, memory=MEMORY, max_object=SLICE, clock=clock) as store:
        assert (await cinema(film, store, clock).ask()).body == FILM
    for file in (tmp_path / "bodies").rglob("*"):
        if file.is_file():
            data = bytearray(file.read_bytes())
            data[len(data) // 2] ^= 1
            file.write_bytes(data)
    with layered(tmp_path, memory=MEMORY, max_object=SLICE, clock=clock) as store:
        assert (await cinema(film, store, clock).ask()).body == FILM
        assert store.disk.errors["body"] > 0
