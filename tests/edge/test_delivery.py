"""Stories of what one visitor gets of what is stored: 304, HEAD, parts, encodings."""

from __future__ import annotations

import gzip

import brotli
import pytest

from edge.http.dates import format_date
from edge.http.message import Answer, Fields, Request
from edge.upstream.contract import UpstreamError
from tests.edge.stage import T0, Stage, answer, confirming

PAGE = b"<!doctype html><title>Kopi Gayo</title>" + b"<p>fresh from the mountains of Aceh</p>" * 40


def down(request: Request) -> Answer:
    raise UpstreamError("connect", "origin-1", "refused", sent=False)


async def test_a_visitor_who_has_it_already_is_told_so() -> None:
    stage = Stage(confirming)
    first = await stage.ask(fields={"If-None-Match": '"v0", W/"v1"'})
    second = await stage.ask(fields={"If-None-Match": '"v1"'})
    assert (first.status, first.verdict, first.body) == (304, "miss", b"")
    assert (second.status, second.verdict, second["etag"]) == (304, "hit", '"v1"')
    assert second["content-length"] is None
    assert "if-none-match" not in stage.origin.asked[0].fields


async def test_dates_decide_only_where_no_tag_is_asked_about() -> None:
    changed = format_date(int(T0) - 1000)
    stage = Stage(lambda request: answer(cache_control="max-age=60", last_modified=changed, etag='"v1"'))
    await stage.ask()
    assert (await stage.ask(fields={"If-Modified-Since": changed})).status == 304
    assert (await stage.ask(fields={"If-Modified-Since": format_date(int(T0) - 2000)})).status == 200
    both = {"If-Modified-Since": changed, "If-None-Match": '"v0"'}
    assert (await stage.ask(fields=both)).status == 200


async def test_preconditions_of_changes_go_to_the_origin() -> None:
    stage = Stage(confirming)
    await stage.ask()
    reply = await stage.ask(fields={"If-Match": '"v1"'})
    assert (reply.verdict, reply.reason) == ("pass", "precondition")
    assert stage.origin.asked[-1].fields.get("if-match") == '"v1"'


async def test_a_personal_page_still_answers_the_visitors_question() -> None:
    stage = Stage(lambda request: answer(cache_control="private", etag='"mine"'))
    reply = await stage.ask(fields={"If-None-Match": '"mine"'})
    assert (reply.status, reply.body) == (304, b"")


async def test_head_is_answered_from_what_get_stored() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    await stage.ask()
    reply = await stage.ask(method="HEAD")
    assert (reply.verdict, reply.body, reply["content-length"]) == ("hit", b"", "4")


async def test_head_on_an_empty_store_goes_through_and_stores_nothing() -> None:
    stage = Stage(
        lambda request: Answer(200, Fields([("Cache-Control", "max-age=60"), ("Content-Length", "4")]))
    )
    reply = await stage.ask(method="HEAD")
    assert (reply.status, reply["content-length"], stage.origin.asked[0].method) == (200, "4", "HEAD")
    assert len(stage.store) == 0


async def test_head_renews_what_it_describes_and_drops_what_it_does_not() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=10", etag='"v1"'))
    await stage.ask()
    stage.sleep(11)
    stage.origin.script = lambda request: Answer(
        200, Fields([("Etag", '"v1"'), ("Cache-Control", "max-age=100"), ("X-New", "1")])
    )
    await stage.ask(method="HEAD")
    reply = await stage.ask()
    assert (reply.verdict, reply.body, reply["x-new"]) == ("hit", b"body", "1")
    stage.sleep(101)
    stage.origin.script = lambda request: Answer(200, Fields([("Etag", '"v2"')]))
    await stage.ask(method="HEAD")
    assert len(stage.store) == 0


@pytest.mark.parametrize(
    ("asked", "status", "body", "said"),
    [
        ("bytes=0-1", 206, b"01", "bytes 0-1/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
async def test_parts_come_from_the_stored_whole(
    asked: str, status: int, body: bytes, said: str | None
) -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60", body=b"0123456789"))
    await stage.ask()
    reply = await stage.ask(fields={"Range": asked})
    assert (reply.status, reply.body, reply["content-range"], reply.verdict) == (status, body, said, "hit")
    assert reply["content-length"] == str(len(body))


async def test_several_parts_come_in_one_multipart_answer() -> None:
    stage = Stage(
        lambda request: answer(cache_control="max-age=60", body=b"0123456789", content_type="text/plain")
    )
    await stage.ask()
    reply = await stage.ask(fields={"Range": "bytes=0-1, -1"})
    kind, _, boundary = (reply["content-type"] or "").partition("; boundary=")
    assert (reply.status, kind) == (206, "multipart/byteranges")
    parts = reply.body.split(f"--{boundary}".encode())
    assert b"Content-Range: bytes 0-1/10\r\n\r\n01" in parts[1]
    assert b"Content-Range: bytes 9-9/10\r\n\r\n9" in parts[2]
    assert parts[3] == b"--\r\n"


async def test_if_range_gives_the_whole_unless_it_is_the_same() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60", body=b"0123456789", etag='"v1"'))
    await stage.ask()
    assert (await stage.ask(fields={"Range": "bytes=0-1", "If-Range": '"v1"'})).status == 206
    assert (await stage.ask(fields={"Range": "bytes=0-1", "If-Range": '"v0"'})).status == 200
    assert (await stage.ask(fields={"Range": "bytes=0-1", "If-Range": 'W/"v1"'})).status == 200


async def test_asking_for_all_in_the_way_of_players_fills_the_store() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60", body=b"0123456789"))
    first = await stage.ask(fields={"Range": "bytes=0-"})
    second = await stage.ask(fields={"Range": "bytes=4-5"})
    assert (first.status, first.body, first["content-range"]) == (206, b"0123456789", "bytes 0-9/10")
    assert (first.verdict, first["content-length"]) == ("miss", "10")
    assert (second.status, second.body, second.verdict) == (206, b"45", "hit")
    assert "range" not in stage.origin.asked[0].fields


async def test_a_part_of_what_is_not_stored_is_asked_of_the_origin() -> None:
    def script(request: Request) -> Answer:
        assert request.fields.get("range") == "bytes=0-1"
        return answer(206, b"01", content_range="bytes 0-1/10", cache_control="max-age=60")

    stage = Stage(script)
    reply = await stage.ask(fields={"Range": "bytes=0-1"})
    assert (reply.status, reply.body, reply.verdict, reply.reason) == (206, b"01", "miss", "uri-miss")
    assert (reply["content-range"], reply["content-length"]) == ("bytes 0-1/10", "2")


def page(request: Request) -> Answer:
    return answer(cache_control="max-age=60", content_type="text/html", body=PAGE, etag='"v1"')


async def test_every_client_gets_the_encoding_it_likes_best_made_once() -> None:
    stage = Stage(page)
    br = await stage.ask(fields={"Accept-Encoding": "gzip, br"})
    zipped = await stage.ask(fields={"Accept-Encoding": "gzip;q=1, br;q=0.5"})
    plain = await stage.ask()
    assert brotli.decompress(br.body) == gzip.decompress(zipped.body) == plain.body == PAGE
    assert [reply["content-encoding"] for reply in (br, zipped, plain)] == ["br", "gzip", None]
    assert [reply["vary"] for reply in (br, zipped, plain)] == ["Accept-Encoding"] * 3
    assert [reply["content-length"] for reply in (br, zipped)] == [str(len(br.body)), str(len(zipped.body))]
    assert (br["etag"], plain["etag"]) == ('W/"v1"', '"v1"')
    assert [br.verdict, zipped.verdict, plain.verdict] == ["miss", "hit", "hit"]
    again = await stage.ask(fields={"Accept-Encoding": "br"})
    assert isinstance(again.answer.body, bytes) and again.answer.body is br.answer.body


async def test_a_tag_given_with_an_encoding_is_recognised_again() -> None:
    stage = Stage(page)
    tag = (await stage.ask(fields={"Accept-Encoding": "br"}))["etag"] or ""
    reply = await stage.ask(fields={"Accept-Encoding": "br", "If-None-Match": tag})
    assert (reply.status, reply["etag"], reply["vary"]) == (304, 'W/"v1"', "Accept-Encoding")


@pytest.mark.parametrize(
    "fields",
    [
        {"content_type": "image/jpeg"},
        {"content_type": "text/html", "cache_control": "max-age=60, no-transform"},
        {"content_type": "text/html", "content_encoding": "compress"},
        {"content_type": "text/event-stream"},
        {"content_type": "text/html", "content_digest": "sha-256=:x:"},
    ],
)
async def test_what_must_not_be_transformed_is_left_alone(fields: dict[str, str]) -> None:
    stage = Stage(lambda request: answer(**{"cache_control": "max-age=60", "body": PAGE, **fields}))  # type: ignore[arg-type]
    for _ in range(2):
        reply = await stage.ask(fields={"Accept-Encoding": "br, gzip, compress"})
        assert (reply.body, reply["content-encoding"]) == (PAGE, fields.get("content_encoding"))


async def test_a_client_may_forbid_transforming() -> None:
    stage = Stage(page)
    reply = await stage.ask(fields={"Accept-Encoding": "br", "Cache-Control": "no-transform"})
    assert reply.body == PAGE


async def test_a_personal_page_is_encoded_as_it_passes() -> None:
    stage = Stage(
        lambda request: answer(cache_control="private", content_type="text/html", body=[PAGE, PAGE])
    )
    reply = await stage.ask(fields={"Accept-Encoding": "gzip"})
    assert gzip.decompress(reply.body) == PAGE * 2
    assert (reply["content-encoding"], reply["content-length"]) == ("gzip", None)


async def test_an_encoding_that_the_client_cannot_read_is_undone() -> None:
    packed = gzip.compress(PAGE)
    kind = {"content_type": "text/html", "content_encoding": "gzip", "etag": '"v1"'}
    stage = Stage(lambda request: answer(cache_control="max-age=60", body=packed, **kind))
    assert (await stage.ask(fields={"Accept-Encoding": "gzip"})).body == packed
    reply = await stage.ask(fields={"Accept-Encoding": "br"})
    assert (reply.body, reply["content-encoding"], reply["etag"]) == (PAGE, None, 'W/"v1"')


async def test_a_renewed_entry_keeps_its_encodings() -> None:
    def script(request: Request) -> Answer:
        return Answer(304, Fields([("Etag", '"v1"')])) if "if-none-match" in request.fields else page(request)

    stage = Stage(script)
    first = await stage.ask(fields={"Accept-Encoding": "br"})
    stage.sleep(61)
    again = await stage.ask(fields={"Accept-Encoding": "br"})
    assert again.verdict == "revalidated"
    assert again.answer.body is first.answer.body
