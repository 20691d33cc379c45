"""Stories of bodies that are here in parts: kept, served, completed, and never mixed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from edge.http.dates import format_date
from edge.http.message import Answer, Request
from edge.position import ALONE
from edge.purge import Purge
from edge.store.content import Stored
from edge.store.fill import AHEAD, Cut
from edge.store.parts import Parts
from edge.upstream.contract import UpstreamError
from tests.edge.films import Film, content, part, until_cut
from tests.edge.stage import T0, Reply, Stage, answer, make_request

BODY = content(200_000)


async def test_a_part_is_kept_and_serves_parts_of_it() -> None:
    film = Film(BODY)
    stage = Stage(film)
    first = await stage.ask(fields=part("1000-1999"))
    again = await stage.ask(fields=part("1200-1299"))
    assert (first.status, first.body, first.verdict) == (206, BODY[1000:2000], "miss")
    assert "fwd=uri-miss; fwd-status=206" in (first["cache-status"] or "")
    assert "; stored" in (first["cache-status"] or "")
    assert (again.status, again.body, again.verdict) == (206, BODY[1200:1300], "hit")
    assert (again["content-range"], again["content-length"]) == ("bytes 1200-1299/200000", "100")
    assert (again["etag"], again["age"]) == ('"v1"', "0")
    assert film.asked == [("bytes=1000-1999", None, 206)]


async def test_what_lacks_of_a_part_is_fetched_and_no_byte_twice() -> None:
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("1000-1999"))
    reply = await stage.ask(fields=part("1500-2999"))
    assert (reply.status, reply.body, reply.verdict, reply.reason) == (
        206,
        BODY[1500:3000],
        "miss",
        "partial",
    )
    assert "fwd=partial; fwd-status=206" in (reply["cache-status"] or "")
    assert film.asked[1] == ("bytes=2000-", '"v1"', 206)
    assert (await stage.ask(fields=part("-100"))).verdict == "hit"
    assert film.sent == len(BODY) - 1000


async def test_the_whole_is_completed_from_what_is_here() -> None:
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("0-99999"))
    reply = await stage.ask()
    assert (reply.status, reply.body, reply.verdict, reply.reason) == (200, BODY, "miss", "partial")
    assert (reply["content-length"], reply["content-range"]) == ("200000", None)
    assert (reply["age"], reply["accept-ranges"]) == ("0", "bytes")
    assert film.asked[1:] == [("bytes=100000-", '"v1"', 206)]
    (entry,) = stage.store.get("shop.test/p/1\x00http")
    assert isinstance(entry.content, Stored) and entry.content.plain == BODY
    assert (await stage.ask()).verdict == "hit"


async def test_gaps_on_both_sides_are_fetched() -> None:
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("50000-59999"))
    reply = await stage.ask()
    assert reply.body == BODY
    assert film.ranges_asked[1:] == ["bytes=0-49999", "bytes=60000-"]
    assert film.sent == len(BODY)


async def test_without_a_strong_validator_the_whole_is_asked_for_again() -> None:
    film = Film(BODY, etag='W/"v1"')
    stage = Stage(film)
    await stage.ask(fields=part("0-999"))
    assert (await stage.ask(fields=part("10-20"))).verdict == "hit"
    reply = await stage.ask()
    assert (reply.status, reply.body, reply.reason, reply["age"]) == (200, BODY, "partial", None)
    assert film.ranges_asked == ["bytes=0-999", None]


async def test_without_one_another_part_takes_the_firsts_place() -> None:
    film = Film(BODY, etag=None)
    stage = Stage(film)
    await stage.ask(fields=part("0-999"))
    reply = await stage.ask(fields=part("500-1500"))
    assert (reply.status, reply.body) == (206, BODY[500:1501])
    assert film.ranges_asked == ["bytes=0-999", "bytes=500-1500"]
    assert (await stage.ask(fields=part("0-100"))).body == BODY[:101]
    assert len(film.asked) == 3


async def test_a_date_vouches_for_parts_if_it_is_strong() -> None:
    changed = format_date(int(T0) - 1000)

    def script(request: Request) -> Answer:
        said = {"last_modified": changed, "cache_control": "max-age=60", "date": format_date(int(T0))}
        asked = request.fields.get("range")
        if asked == "bytes=0-4":
            return answer(206, b"01234", content_range="bytes 0-4/10", **said)
        assert (asked, request.fields.get("if-range")) == ("bytes=5-", changed)
        return answer(206, b"56789", content_range="bytes 5-9/10", **said)

    stage = Stage(script)
    await stage.ask(fields=part("0-4"))
    assert (await stage.ask()).body == b"0123456789"


async def test_another_version_comes_whole_and_is_never_mixed_with_the_old() -> None:
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("0-99999"))
    film.body, film.etag = content(200_000, salt=1), '"v2"'
    reply = await stage.ask()
    assert (reply.status, reply.body, reply["etag"]) == (200, film.body, '"v2"')
    assert film.asked[1:] == [("bytes=100000-", '"v1"', 200)]
    assert (await stage.ask(fields=part("0-9"))).body == film.body[:10]
    assert len(film.asked) == 2


async def test_a_part_of_another_version_replaces_what_is_here() -> None:
    """An origin that does not know If-Range answers with a part of whatever it has now."""
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("0-99999"))
    film.body, film.etag = content(200_000, salt=1), '"v2"'

    def forgetful(request: Request) -> Answer:
        return film(make_request(fields=request.fields.without("if-range").lines))

    stage.origin.script = forgetful
    reply = await stage.ask(fields=part("99000-101000"))
    assert (reply.status, reply.body, reply["etag"]) == (206, film.body[99000:101001], '"v2"')


async def test_the_version_that_changes_in_the_middle_of_an_answer_cuts_it() -> None:
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("50000-59999"))
    reply = await stage.pipeline.handle(make_request())
    film.body, film.etag = content(200_000, salt=1), '"v2"'
    got = await until_cut(reply)
    assert BODY.startswith(got) and len(got) == 60_000
    await stage.settle()
    assert (await stage.ask()).body == film.body


async def test_a_body_that_breaks_off_is_kept_as_far_as_it_came_and_completed() -> None:
    film = Film(BODY, cut=70_000)
    stage = Stage(film)
    with pytest.raises(Cut):
        await stage.ask()
    await stage.settle()
    assert (await stage.ask(fields=part("0-69999"))).verdict == "hit"
    reply = await stage.ask()
    assert (reply.body, reply.reason) == (BODY, "partial")
    assert film.asked[1:] == [("bytes=70000-", '"v1"', 206)]


async def test_a_body_that_breaks_off_is_not_kept_where_nothing_vouches_for_the_rest() -> None:
    for film in (Film(BODY, etag=None, cut=70_000), Film(BODY, kind="text/html", cut=70_000)):
        stage = Stage(film)
        with pytest.raises(Cut):
            await stage.ask()
        await stage.settle()
        assert len(stage.store) == 0


async def test_a_part_that_breaks_off_is_kept_as_far_as_it_came() -> None:
    film = Film(BODY, cut=30_000)
    stage = Stage(film)
    await stage.ask(fields=part("100000-"))
    assert (await stage.ask(fields=part("100000-129999"))).verdict == "hit"
    assert (await stage.ask(fields=part("100000-130000"))).body == BODY[100_000:130_001]


async def test_a_part_shorter_than_its_range_counts_for_what_came() -> None:
    stage = Stage(
        lambda request: answer(206, b"01234", content_range="bytes 4-9/10", cache_control="max-age=60")
    )
    first = await stage.ask(fields=part("-5"))
    assert (first.status, first.body, first["content-range"]) == (206, b"01234", "bytes 4-9/10")
    reply = await stage.ask(fields=part("6-8"))
    assert (reply.body, reply.verdict, reply["content-range"]) == (b"234", "hit", "bytes 6-8/10")
    assert (await stage.ask(fields=part("6-9"))).verdict == "miss"


@pytest.mark.parametrize(
    "said",
    [
        {"content_range": "bytes 0-1/10", "cache_control": "private"},
        {"content_range": "bytes 0-1/10", "cache_control": "max-age=60", "set_cookie": "a=b"},
        {"content_range": "bytes 0-1/*", "cache_control": "max-age=60"},
        {"content_range": "bytes 0-1/10", "cache_control": "max-age=60", "content_encoding": "gzip"},
        {"content_range": "bytes 0-1/10", "cache_control": "max-age=60", "content_type": "text/html"},
        {"content_type": "multipart/byteranges; boundary=x", "cache_control": "max-age=60"},
    ],
)
async def test_a_part_that_may_not_be_shared_or_is_not_understood_is_its_askers_alone(
    said: dict[str, str],
) -> None:
    stage = Stage(lambda request: answer(206, b"01", **said))
    for _ in range(2):
        reply = await stage.ask(fields=part("0-1"))
        assert (reply.status, reply.body) == (206, b"01")
        assert reply["content-range"] == said.get("content_range")
    assert (len(stage.store), stage.fetches) == (0, 2)


async def test_a_rest_that_may_not_be_shared_is_not_put_together_with_what_may() -> None:
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("0-999"))
    film.control = "private"
    reply = await stage.ask()
    assert (reply.status, reply.body) == (200, BODY)
    assert film.ranges_asked[1:] == ["bytes=1000-", None]
    assert len(stage.store) == 0


async def test_a_206_that_nobody_asked_for_is_passed_on_and_not_kept() -> None:
    stage = Stage(
        lambda request: answer(206, b"01", content_range="bytes 0-1/10", cache_control="max-age=60")
    )
    reply = await stage.ask()
    assert (reply.status, reply.body, len(stage.store)) == (206, b"01", 0)


async def test_a_range_that_cannot_be_satisfied_says_how_long_the_body_is() -> None:
    film = Film(BODY)
    stage = Stage(film)
    cold = await stage.ask(fields=part("200000-"))
    assert (cold.status, cold["content-range"]) == (416, "bytes */200000")
    await stage.ask(fields=part("0-9"))
    warm = await stage.ask(fields=part("200000-"))
    assert (warm.status, warm["content-range"], warm.verdict) == (416, "bytes */200000", "hit")
    assert not stage.pipeline._fetching.flights.why_shy("shop.test/p/1\x00http", 0.0)


async def test_several_parts_are_served_if_all_are_here_and_else_passed_as_they_are() -> None:
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("0-999"))
    reply = await stage.ask(fields=part("0-9,90-99"))
    assert (reply.status, reply.verdict) == (206, "hit")
    assert BODY[:10] in reply.body and BODY[90:100] in reply.body
    assert reply["content-length"] == str(len(reply.body))
    passed = await stage.ask(fields=part("0-9,5000-5009"))
    assert (passed.verdict, passed.reason) == ("pass", "range")
    assert film.asked[-1][0] == "bytes=0-9,5000-5009"


async def test_head_tells_of_the_whole() -> None:
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("0-999"))
    reply = await stage.ask(method="HEAD")
    assert (reply.status, reply.verdict, reply.body) == (200, "hit", b"")
    assert (reply["content-length"], reply["content-range"], reply["etag"]) == ("200000", None, '"v1"')
    assert (await stage.ask(method="HEAD", fields=part("0-9"))).status == 200


async def test_who_has_this_version_already_is_told_so() -> None:
    stage = Stage(Film(BODY))
    await stage.ask(fields=part("0-999"))
    reply = await stage.ask(fields={"If-None-Match": '"v1"'})
    assert (reply.status, reply.verdict, reply["content-range"]) == (304, "hit", None)


async def test_if_range_decides_between_the_part_and_the_whole() -> None:
    film = Film(BODY)
    stage = Stage(film)
    cold = await stage.ask(fields=part("0-999", If_Range='"v1"'))
    assert (cold.status, cold.verdict, cold.reason) == (206, "pass", "range")
    await stage.ask(fields=part("0-999"))
    assert (await stage.ask(fields=part("0-9", If_Range='"v1"'))).verdict == "hit"
    weak = await stage.ask(fields=part("0-9", If_Range='W/"v1"'))
    assert (weak.status, weak.body) == (200, BODY)


async def test_stale_parts_are_validated_and_kept() -> None:
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("0-999"))
    stage.sleep(61)
    reply = await stage.ask(fields=part("0-99"))
    assert (reply.status, reply.body, reply.verdict) == (206, BODY[:100], "revalidated")
    assert film.asked[-1][2] == 304
    assert (await stage.ask(fields=part("0-99"))).verdict == "hit"
    stage.sleep(61)
    assert (await stage.ask()).body == BODY
    assert [asked for asked in film.asked if asked[2] == 206][1:] == [("bytes=1000-", '"v1"', 206)]


async def test_a_part_that_is_fetched_renews_the_fields_of_all() -> None:
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("0-999"))
    stage.sleep(50)
    film.more = (("X-New", "1"),)
    await stage.ask(fields=part("5000-5999"))
    stage.sleep(30)
    reply = await stage.ask(fields=part("0-9"))
    assert (reply.verdict, reply["x-new"], reply["age"]) == ("hit", "1", "30")


async def test_parts_stand_in_for_a_failing_origin_only_if_they_suffice() -> None:
    film = Film(BODY, control="max-age=60, stale-if-error=600")
    stage = Stage(film)
    await stage.ask(fields=part("0-999"))

    def down(request: Request) -> Answer:
        raise UpstreamError("connect", "origin-1", "refused", sent=False)

    for script in (down, lambda request: answer(503, b"sorry")):
        stage.origin.script = script
        assert (await stage.ask(fields=part("2000-2999"))).status in (502, 503)
    stage.sleep(61)
    for script in (down, lambda request: answer(503, b"sorry")):
        stage.origin.script = script
        excused = await stage.ask(fields=part("0-99"))
        assert (excused.status, excused.body, excused.verdict) == (206, BODY[:100], "stale")
        assert (await stage.ask(fields=part("2000-2999"))).status in (502, 503)


async def test_only_if_cached_asks_for_nothing_that_lacks() -> None:
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("0-999"))
    wish = {"Cache-Control": "only-if-cached"}
    assert (await stage.ask(fields={**part("0-99"), **wish})).status == 206
    assert (await stage.ask(fields={**part("0-1000"), **wish})).status == 504
    assert len(film.asked) == 1


async def test_many_who_want_the_same_part_wait_for_one_fetch() -> None:
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("0-999"))
    stage.origin.gate = asyncio.Event()
    asking = [
        asyncio.create_task(stage.pipeline.handle(make_request(fields=part(f"{900 + number}-1999"))))
        for number in range(20)
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    stage.origin.gate.set()
    replies = [await Reply.of(reply) for reply in await asyncio.gather(*asking)]
    assert [reply.body for reply in replies] == [BODY[900 + number : 2000] for number in range(20)]
    assert len(film.asked) == 2


async def test_purged_meanwhile_is_handed_on_and_not_kept() -> None:
    film = Film(BODY)
    stage = Stage(film)
    await stage.ask(fields=part("0-999"))
    stage.origin.gate = asyncio.Event()
    asking = asyncio.create_task(stage.pipeline.handle(make_request()))
    for _ in range(5):
        await asyncio.sleep(0)
    assert await stage.pipeline.purge(Purge("url", "http://shop.test/p/1"), ALONE) == 1
    stage.origin.gate.set()
    assert (await Reply.of(await asking)).body == BODY
    await stage.settle()
    assert len(stage.store) == 0


# What is still arriving ----------------------------------------------------------------------------

LONG = content(4 * AHEAD)


async def filling(film: Film) -> tuple[Stage, asyncio.Task[Reply]]:
    """A stage on which somebody has begun to read the whole, and its origin has stopped in the middle."""
    stage = Stage(film, max_object=len(film.body))
    whole = asyncio.create_task(Reply.of(await stage.pipeline.handle(make_request())))
    for _ in range(2 * len(film.body) // film.chunk):
        await asyncio.sleep(0)
    return stage, whole


async def test_a_part_that_has_come_is_served_while_the_rest_is_awaited() -> None:
    film = Film(LONG, hold=AHEAD, chunk=64 * 1024)
    stage, whole = await filling(film)
    reply = await Reply.of(await stage.pipeline.handle(make_request(fields=part("1000-1999"))))
    assert (reply.status, reply.body, reply.verdict) == (206, LONG[1000:2000], "hit")
    assert reply["content-range"] == f"bytes 1000-1999/{len(LONG)}"
    assert not whole.done()
    film.gate.set()
    assert (await whole).body == LONG
    assert len(film.asked) == 1


async def test_a_part_that_is_about_to_come_is_waited_for() -> None:
    film = Film(LONG, hold=AHEAD, chunk=64 * 1024)
    stage, whole = await filling(film)
    reply = await stage.pipeline.handle(make_request(fields=part(f"{AHEAD - 10}-{AHEAD + 9}")))
    reading = asyncio.create_task(Reply.of(reply))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not reading.done()
    film.gate.set()
    assert (await reading).body == LONG[AHEAD - 10 : AHEAD + 10]
    assert (await whole).body == LONG
    assert len(film.asked) == 1


async def test_a_part_far_ahead_is_fetched_on_its_own() -> None:
    film = Film(LONG, hold=AHEAD, chunk=64 * 1024)
    stage, whole = await filling(film)
    reply = await Reply.of(await stage.pipeline.handle(make_request(fields=part("-1000"))))
    assert (reply.status, reply.body) == (206, LONG[-1000:])
    assert not whole.done()
    assert film.asked[1] == (f"bytes={len(LONG) - 1000}-{len(LONG) - 1}", '"v1"', 206)
    film.gate.set()
    assert (await whole).body == LONG


@pytest.mark.parametrize("changed", [{"etag": None}, {"ranges": False}])
async def test_a_part_far_ahead_is_waited_for_where_it_cannot_be_fetched(changed: dict[str, Any]) -> None:
    film = replace(Film(LONG, hold=AHEAD, chunk=64 * 1024), **changed)
    stage, whole = await filling(film)
    reply = await stage.pipeline.handle(make_request(fields=part("-1000")))
    reading = asyncio.create_task(Reply.of(reply))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not reading.done()
    film.gate.set()
    assert (await reading).body == LONG[-1000:]
    assert (await whole).body == LONG
    assert len(film.asked) == 1


async def test_a_part_of_a_body_that_is_not_kept_is_fetched_where_it_does_not_pass_by_soon() -> None:
    film = Film(LONG, etag=None, hold=AHEAD // 2, chunk=64 * 1024)
    stage = Stage(film, max_object=AHEAD)
    whole = asyncio.create_task(Reply.of(await stage.pipeline.handle(make_request())))
    for _ in range(100):
        await asyncio.sleep(0)
    near = asyncio.create_task(stage.pipeline.handle(make_request(fields=part(f"{AHEAD}-{AHEAD + 9}"))))
    far = await Reply.of(await stage.pipeline.handle(make_request(fields=part("-1000"))))
    assert (far.status, far.body, far.reason) == (206, LONG[-1000:], "partial")
    film.gate.set()
    assert (await Reply.of(await near)).body == LONG[AHEAD : AHEAD + 10]
    assert (await whole).body == LONG
    assert film.ranges_asked == [None, "bytes=-1000"]


async def test_variants_have_parts_of_their_own() -> None:
    films = {
        "a": Film(BODY, more=(("Vary", "Foo"),)),
        "b": Film(content(200_000, 1), '"b"', more=(("Vary", "Foo"),)),
    }
    stage = Stage(lambda request: films[request.fields.get("foo") or ""](request))
    for name, film in films.items():
        await stage.ask(fields={**part("0-999"), "Foo": name})
        assert (await stage.ask(fields={"Foo": name})).body == film.body
    assert [len(film.asked) for film in films.values()] == [2, 2]


async def test_what_would_be_compressed_keeps_its_strong_tag_for_the_bytes_as_they_are() -> None:
    text = Film(b"kopi gayo " * 10_000, kind="text/plain")
    stage = Stage(text)
    gzip = {"Accept-Encoding": "gzip"}
    ranged = await stage.ask(fields={**part("0-99"), **gzip})
    whole = await stage.ask(fields=gzip)
    assert (ranged["etag"], ranged["content-encoding"]) == ('"v1"', None)
    assert (whole["etag"], whole["content-encoding"], whole["accept-ranges"]) == ('W/"v1"', "gzip", None)
    again = await stage.ask(fields={**part("0-9", If_Range='W/"v1"'), **gzip})
    assert (again.status, again["content-encoding"]) == (200, "gzip")


async def test_explain_shows_which_parts_are_here() -> None:
    stage = Stage(Film(BODY))
    await stage.ask(fields=part("0-999"))
    told = await stage.pipeline.explain(make_request(fields=part("500-1500")))
    assert (told.decision, told.reason, told.variants[0].parts) == ("miss", "partial", ("0-999",))
    assert told.variants[0].selected
    assert (await stage.pipeline.explain(make_request(fields=part("0-9")))).decision == "hit"


async def test_a_reader_goes_on_in_a_body_that_was_made_whole_under_him() -> None:
    stage = Stage(Film(BODY))
    await stage.ask(fields=part("5000-"))
    assert (await stage.ask(fields=part("4000-5999"))).body == BODY[4000:6000]


async def test_nothing_is_under_way_when_all_has_been_read() -> None:
    stage = Stage(Film(BODY))
    await stage.ask(fields=part("5000-"))
    (entry,) = stage.store.get("shop.test/p/1\x00http")
    assert isinstance(entry.content, Parts)
    assert entry.content.fills == []
    assert stage.store.reserved == 0
