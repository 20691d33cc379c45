"""Stories of films: kept and fetched in slices, so that a seek costs one."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import replace
from typing import Any

import pytest

from edge.http.message import Answer, Request
from edge.policy.patterns import Patterns
from edge.policy.rules import SiteRules, SliceRules
from edge.position import ALONE
from edge.purge import Purge, PurgeKind
from edge.store.content import Stored
from edge.store.fill import WINDOW
from edge.store.parts import Parts
from tests.edge.films import Film, content, part, until_cut
from tests.edge.stage import Reply, Stage, make_request

SLICE = 64 * 1024
FILM = content(40 * SLICE + 1000)
KEY = "shop.test/p/1\x00http"


def cinema(film: Film, **rules: object) -> Stage:
    """A store that keeps bodies of one slice whole, and slices of larger ones."""
    slices = SliceRules(size=SLICE, **rules)  # type: ignore[arg-type]
    return Stage(film, SiteRules("shop", slices=slices), max_object=SLICE)


def numbers(film: Film) -> list[int | None]:
    """Which slices were asked for; None: the whole."""
    return [
        None if asked is None else int(asked[6:].partition("-")[0]) // SLICE for asked in film.ranges_asked
    ]


async def test_a_seek_costs_one_slice() -> None:
    film = Film(FILM)
    stage = cinema(film)
    await stage.ask(fields=part("0-99"))
    before = film.sent
    reply = await stage.ask(fields=part(f"{20 * SLICE + 10}-{20 * SLICE + 99}"))
    assert (reply.status, reply.body) == (206, FILM[20 * SLICE + 10 : 20 * SLICE + 100])
    assert (reply.verdict, reply.reason) == ("miss", "partial")
    assert film.asked[-1] == (f"bytes={20 * SLICE}-{21 * SLICE - 1}", '"v1"', 206)
    assert film.sent - before == SLICE
    again = await stage.ask(fields=part(f"{20 * SLICE}-{21 * SLICE - 1}"))
    assert (again.verdict, again.body) == ("hit", FILM[20 * SLICE : 21 * SLICE])
    assert film.sent - before == SLICE


async def test_a_range_over_many_slices_fetches_those_that_lack_twice_as_many_each_time() -> None:
    film = Film(FILM)
    stage = cinema(film)
    await stage.ask(fields=part("0-99"))
    await stage.ask(fields=part(f"{5 * SLICE}-{5 * SLICE + 9}"))
    film.asked.clear()
    reply = await stage.ask(fields=part(f"{SLICE + 5}-"))
    assert reply.body == FILM[SLICE + 5 :]
    asked = [asked for asked in film.ranges_asked if asked is not None]
    firsts = [int(each[6:].partition("-")[0]) for each in asked]
    lasts = [int(each.partition("-")[2] or len(FILM) - 1) for each in asked]
    sizes = [-(-(last + 1 - first) // SLICE) for first, last in zip(firsts, lasts, strict=True)]
    assert sizes == [1, 1, 2, 4, 8, 16, 7]
    assert 5 not in numbers(film)


async def test_the_whole_of_a_large_body_is_streamed_in_one_piece_and_kept_in_slices() -> None:
    film = Film(FILM)
    stage = cinema(film)
    first = await stage.ask()
    assert (first.status, first.body, first.verdict) == (200, FILM, "miss")
    assert (first["content-length"], first["accept-ranges"]) == (str(len(FILM)), "bytes")
    assert film.ranges_asked == [None]
    again = await stage.ask(fields=part(f"{7 * SLICE + 1}-{9 * SLICE}"))
    assert (again.verdict, again.body) == ("hit", FILM[7 * SLICE + 1 : 9 * SLICE + 1])
    assert (await stage.ask()).body == FILM
    assert film.ranges_asked == [None]
    assert stage.store.reserved == 0


async def test_players_that_ask_for_all_learn_that_ranges_work() -> None:
    film = Film(FILM)
    stage = cinema(film)
    reply = await stage.ask(fields=part("0-"))
    assert (reply.status, reply.body) == (206, FILM)
    assert reply["content-range"] == f"bytes 0-{len(FILM) - 1}/{len(FILM)}"
    assert film.ranges_asked == [None]


async def test_a_part_from_somewhere_on_is_kept_in_slices_too() -> None:
    film = Film(FILM)
    stage = cinema(film)
    reply = await stage.ask(fields=part(f"{30 * SLICE + 17}-"))
    assert reply.body == FILM[30 * SLICE + 17 :]
    assert (await stage.ask(fields=part(f"{33 * SLICE}-{34 * SLICE}"))).verdict == "hit"
    film.asked.clear()
    assert (await stage.ask(fields=part(f"{30 * SLICE}-{31 * SLICE}"))).verdict == "miss"
    assert film.ranges_asked == [f"bytes={30 * SLICE}-{30 * SLICE + 16}"]


async def test_known_paths_are_asked_for_in_slices_from_the_first_request_on() -> None:
    film = Film(FILM)
    stage = cinema(film, known=Patterns(("/p/*",)))
    reply = await stage.ask(fields=part(f"{9 * SLICE + 5}-{9 * SLICE + 9}"))
    assert (reply.status, reply.body) == (206, FILM[9 * SLICE + 5 : 9 * SLICE + 10])
    assert reply["content-range"] == f"bytes {9 * SLICE + 5}-{9 * SLICE + 9}/{len(FILM)}"
    assert film.ranges_asked == [f"bytes={9 * SLICE}-{10 * SLICE - 1}"]
    assert (await stage.ask()).body == FILM
    assert None not in film.ranges_asked


async def test_a_small_body_at_a_known_path_comes_whole_in_its_first_slice() -> None:
    film = Film(FILM[:1000])
    stage = cinema(film, known=Patterns(("/p/*",)))
    reply = await stage.ask()
    assert (reply.status, reply.body, reply["content-length"]) == (200, FILM[:1000], "1000")
    assert film.ranges_asked == [f"bytes=0-{SLICE - 1}"]
    assert isinstance(stage.store.get(KEY)[0].content, Stored)
    assert (await stage.ask()).verdict == "hit"


async def test_a_private_film_at_a_known_path_is_its_askers_own() -> None:
    film = Film(FILM, control="private")
    stage = cinema(film, known=Patterns(("/p/*",)))
    whole = await stage.ask()
    assert (whole.status, whole.body) == (200, FILM)
    ranged = await stage.ask(fields=part("5-9"))
    assert (ranged.status, ranged.body) == (206, FILM[5:10])
    assert len(stage.store) == 0


@pytest.mark.parametrize(
    "changed",
    [{"etag": None}, {"etag": 'W/"v1"'}, {"ranges": False}, {"kind": "text/html"}],
    ids=["no-tag", "weak-tag", "no-ranges", "page"],
)
async def test_what_cannot_be_sliced_is_streamed_and_not_kept(changed: dict[str, Any]) -> None:
    film = replace(Film(FILM), **changed)
    stage = cinema(film)
    assert (await stage.ask()).body == FILM
    reply = await stage.ask(fields=part(f"{9 * SLICE}-{9 * SLICE + 9}"))
    assert (reply.status, reply.body) == (206, FILM[9 * SLICE : 9 * SLICE + 10])
    assert film.ranges_asked == [None, f"bytes={9 * SLICE}-{9 * SLICE + 9}"]
    assert len(stage.store) == 0


async def test_a_site_may_forbid_to_learn() -> None:
    film = Film(FILM)
    stage = cinema(film, learn=False)
    assert (await stage.ask()).body == FILM
    assert (await stage.ask(fields=part("5-9"))).body == FILM[5:10]
    assert film.ranges_asked == [None, "bytes=5-9"]
    assert len(stage.store) == 0


async def test_a_threshold_of_its_own_decides_what_is_large() -> None:
    film = Film(FILM[: 3 * SLICE])
    for over, kept in ((2 * SLICE, Parts), (4 * SLICE, Stored)):
        stage = Stage(film, SiteRules("shop", slices=SliceRules(SLICE, over=over)))
        await stage.ask()
        assert isinstance(stage.store.get(KEY)[0].content, kept)


async def test_many_who_seek_to_one_place_wait_for_one_slice() -> None:
    film = Film(FILM)
    stage = cinema(film)
    await stage.ask(fields=part("0-99"))
    stage.origin.gate = asyncio.Event()
    asking = [
        asyncio.create_task(
            stage.pipeline.handle(make_request(fields=part(f"{20 * SLICE + at}-{21 * SLICE - 1}")))
        )
        for at in range(20)
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    stage.origin.gate.set()
    bodies = [(await Reply.of(reply)).body for reply in await asyncio.gather(*asking)]
    assert bodies == [FILM[20 * SLICE + at : 21 * SLICE] for at in range(20)]
    assert numbers(film) == [0, 20]


async def test_slices_of_two_versions_never_meet_in_one_answer() -> None:
    film = Film(FILM)
    stage = cinema(film)
    await stage.ask(fields=part(f"{3 * SLICE}-{4 * SLICE - 1}"))
    reply = await stage.pipeline.handle(make_request(fields=part(f"{3 * SLICE}-{6 * SLICE - 1}")))
    assert (reply.status, reply.outcome.verdict) == (206, "hit")
    film.body, film.etag = content(len(FILM), 1), '"v2"'
    got = await until_cut(reply)
    assert got == FILM[3 * SLICE : 4 * SLICE]
    await stage.settle()
    again = await stage.ask(fields=part(f"{3 * SLICE}-{6 * SLICE - 1}"))
    assert (again["etag"], again.body) == ('"v2"', film.body[3 * SLICE : 6 * SLICE])


async def test_a_seek_into_another_version_gets_that_one() -> None:
    film = Film(FILM)
    stage = cinema(film)
    await stage.ask(fields=part("0-99"))
    film.body, film.etag = content(len(FILM) + 500, 1), '"v2"'
    reply = await stage.ask(fields=part(f"{8 * SLICE}-{8 * SLICE + 99}"))
    assert (reply.status, reply["etag"], reply.body) == (206, '"v2"', film.body[8 * SLICE : 8 * SLICE + 100])
    assert reply["content-range"] == f"bytes {8 * SLICE}-{8 * SLICE + 99}/{len(film.body)}"


async def test_a_stale_film_is_validated_and_a_new_one_costs_a_slice() -> None:
    film = Film(FILM)
    stage = cinema(film)
    await stage.ask(fields=part("0-99"))
    stage.sleep(61)
    reply = await stage.ask(fields=part("0-50"))
    assert (reply.verdict, film.asked[-1][2]) == ("revalidated", 304)
    stage.sleep(61)
    film.body, film.etag = content(len(FILM), 1), '"v2"'
    before = film.sent
    reply = await stage.ask(fields=part(f"{4 * SLICE}-{4 * SLICE + 9}"))
    assert (reply.status, reply["etag"], reply.body) == (206, '"v2"', film.body[4 * SLICE : 4 * SLICE + 10])
    assert film.sent - before == SLICE


async def test_a_film_that_is_refreshed_behind_costs_a_slice_too() -> None:
    film = Film(FILM, control="max-age=60, stale-while-revalidate=600")
    stage = cinema(film)
    seek = part(f"{5 * SLICE}-{5 * SLICE + 9}")
    await stage.ask(fields=part("0-99"))
    await stage.ask(fields=seek)
    stage.sleep(61)
    film.body, film.etag = content(len(FILM), 1), '"v2"'
    before = film.sent
    stale = await stage.ask(fields=seek)
    assert (stale.verdict, stale["etag"], stale.body) == ("stale", '"v1"', FILM[5 * SLICE : 5 * SLICE + 10])
    fresh = await stage.ask(fields=seek)
    assert (fresh.verdict, fresh["etag"], fresh.body) == (
        "hit",
        '"v2"',
        film.body[5 * SLICE : 5 * SLICE + 10],
    )
    assert film.sent - before == SLICE


async def test_a_large_text_is_compressed_as_it_passes_and_its_parts_are_not() -> None:
    text = Film(b"kopi gayo " * (SLICE // 2), kind="text/plain")
    stage = cinema(text)
    zipped = {"Accept-Encoding": "gzip"}
    whole = await stage.ask(fields=zipped)
    assert (whole["content-encoding"], whole["etag"], whole["accept-ranges"]) == ("gzip", 'W/"v1"', None)
    assert gzip.decompress(whole.body) == text.body
    ranged = await stage.ask(fields={**part(f"{SLICE}-{SLICE + 9}"), **zipped})
    assert (ranged.verdict, ranged["content-encoding"], ranged["etag"]) == ("hit", None, '"v1"')
    assert ranged.body == text.body[SLICE : SLICE + 10]


@pytest.mark.parametrize(
    ("kind", "value"),
    [("url", "http://shop.test/p/1"), ("prefix", "http://shop.test/p"), ("tag", "film"), ("site", "shop")],
)
async def test_a_purge_strikes_every_slice_and_those_under_way(kind: PurgeKind, value: str) -> None:
    film = Film(FILM, more=(("Cache-Tag", "film"),))
    stage = cinema(film)
    for number in (0, 3, 7):
        await stage.ask(fields=part(f"{number * SLICE}-{number * SLICE + 9}"))
    stage.origin.gate = asyncio.Event()
    seeking = asyncio.create_task(
        stage.pipeline.handle(make_request(fields=part(f"{9 * SLICE}-{9 * SLICE + 9}")))
    )
    for _ in range(5):
        await asyncio.sleep(0)
    assert await stage.pipeline.purge(Purge(kind, value), ALONE) == 1
    stage.origin.gate.set()
    assert (await Reply.of(await seeking)).body == FILM[9 * SLICE : 9 * SLICE + 10]
    await stage.settle()
    assert (len(stage.store), stage.store.size) == (0, 0)


async def test_a_soft_purge_keeps_slices_until_the_origin_has_been_asked() -> None:
    film = Film(FILM)
    stage = cinema(film)
    await stage.ask(fields=part("0-99"))
    assert await stage.pipeline.purge(Purge("site", "shop", soft=True), ALONE) == 1
    reply = await stage.ask(fields=part("0-99"))
    assert (reply.verdict, film.asked[-1][2]) == ("revalidated", 304)


async def test_slices_are_evicted_one_by_one() -> None:
    film = Film(FILM)
    stage = Stage(film, SiteRules("shop", slices=SliceRules(SLICE)), budget=8 * SLICE, max_object=SLICE)
    assert (await stage.ask()).body == FILM
    assert 0 < stage.store.size <= stage.store.budget
    assert (await stage.ask()).body == FILM
    assert stage.store.evictions > 30


async def test_an_origin_that_ignores_ranges_after_all_is_asked_as_before() -> None:
    film = Film(FILM)
    stage = cinema(film)
    await stage.ask(fields=part("0-99"))

    def deaf(request: Request) -> Answer:
        """Knows ranges, but not If-Range."""
        if "if-range" in request.fields:
            return film(make_request(fields=request.fields.without("range", "if-range").lines))
        return film(request)

    stage.origin.script = deaf
    for at in (20 * SLICE, 30 * SLICE):
        reply = await stage.ask(fields=part(f"{at}-{at + 9}"))
        assert (reply.status, reply.body) == (206, FILM[at : at + 10])
    assert film.ranges_asked == [
        "bytes=0-99",
        None,
        f"bytes={20 * SLICE}-{20 * SLICE + 9}",
        f"bytes={30 * SLICE}-{30 * SLICE + 9}",
    ]
    assert (await stage.ask()).body == FILM


async def test_who_reads_on_where_ranges_are_ignored_after_all_is_not_cut() -> None:
    film = Film(FILM)
    stage = cinema(film)
    await stage.ask(fields=part("0-99"))
    reply = await stage.pipeline.handle(make_request(fields=part(f"0-{3 * SLICE}")))

    def deaf(request: Request) -> Answer:
        return film(
            make_request(
                fields=request.fields.without(
                    "if-range", *(["range"] if "if-range" in request.fields else [])
                ).lines
            )
        )

    stage.origin.script = deaf
    assert (await Reply.of(reply)).body == FILM[: 3 * SLICE + 1]


async def test_a_slow_reader_holds_no_more_than_the_window() -> None:
    film = Film(FILM)
    stage = cinema(film)
    reply = await stage.pipeline.handle(make_request())
    assert not isinstance(reply.body, bytes)
    await anext(reply.body)
    for _ in range(200):
        await asyncio.sleep(0)
    (entry,) = stage.store.get(KEY)
    assert isinstance(entry.content, Parts)
    held = sum(fill.held for fill in entry.content.fills)
    assert held <= WINDOW + film.chunk
    assert stage.store.size <= stage.store.budget
    got = b"".join([chunk async for chunk in reply.body])
    assert FILM.endswith(got)


async def test_only_if_cached_wants_every_slice() -> None:
    film = Film(FILM)
    stage = cinema(film)
    await stage.ask(fields=part("0-99"))
    wish = {"Cache-Control": "only-if-cached"}
    assert (await stage.ask(fields={**part("0-99"), **wish})).verdict == "hit"
    assert (await stage.ask(fields={**part(f"0-{SLICE}"), **wish})).status == 504


async def test_several_ranges_never_make_the_edge_fetch_slices() -> None:
    film = Film(FILM)
    stage = cinema(film)
    await stage.ask(fields=part("0-99"))
    before = film.sent
    reply = await stage.ask(
        fields=part(",".join(f"{number * SLICE}-{number * SLICE}" for number in range(1, 16)))
    )
    assert (reply.verdict, reply.reason) == ("pass", "range")
    assert film.sent == before


async def test_explain_tells_of_slices() -> None:
    stage = cinema(Film(FILM))
    await stage.ask(fields=part(f"{SLICE}-{SLICE + 9}"))
    await stage.ask(fields=part(f"{3 * SLICE}-{3 * SLICE + 9}"))
    told = await stage.pipeline.explain(make_request(fields=part(f"{3 * SLICE}-{3 * SLICE + 9}")))
    assert told.decision == "hit"
    assert told.variants[0].parts == (f"{SLICE}-{SLICE + 9}", f"{3 * SLICE}-{4 * SLICE - 1}")
    rules = next(step for step in told.steps if step.step == "rules")
    assert rules.facts["slices"] == {"size": SLICE, "over": None, "learn": True, "paths": []}
