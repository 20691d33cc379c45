"""Stories of many who want the same at once, and of bodies that are too large to keep."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from edge.http.message import Answer, Fields, Request
from edge.policy.rules import SiteRules
from edge.store.content import Stored
from edge.store.fill import Cut
from edge.upstream.contract import UpstreamError
from tests.edge.stage import Reply, Stage, answer, make_request

MANY = 20


async def together(stage: Stage, *requests: Request) -> list[Reply]:
    """Send all requests while the origin holds its answers back; then let it answer."""
    stage.origin.gate = asyncio.Event()
    asking = [asyncio.create_task(stage.pipeline.handle(request)) for request in requests]
    for _ in range(5):
        await asyncio.sleep(0)
    stage.origin.gate.set()
    replies = await asyncio.gather(*[Reply.of(answered) for answered in await asyncio.gather(*asking)])
    await stage.settle()
    return replies


async def test_one_fetch_serves_all_who_wait() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60", body=b"for all"))
    replies = await together(stage, *[make_request() for _ in range(MANY)])
    assert stage.fetches == 1
    assert {reply.body for reply in replies} == {b"for all"}
    told = [reply["cache-status"] for reply in replies]
    key = 'key="http://shop.test/p/1"'
    assert told.count(f"tepi; fwd=uri-miss; fwd-status=200; ttl=60; stored; {key}") == 1
    assert told.count(f"tepi; fwd=uri-miss; ttl=60; stored; collapsed; {key}") == MANY - 1


@pytest.mark.parametrize("word", ["private", "no-store", "max-age=0", "no-cache"])
async def test_nobody_gets_anothers_answer_that_did_not_prove_shareable(word: str) -> None:
    def script(request: Request) -> Answer:
        return answer(cache_control=word, body=f"for {request.id}".encode())

    stage = Stage(script)
    requests = [make_request(id=f"visitor-{number}") for number in range(MANY)]
    replies = await together(stage, *requests)
    assert [reply.body for reply in replies] == [f"for {request.id}".encode() for request in requests]
    assert stage.fetches == MANY


async def test_after_an_unshareable_answer_nobody_waits_for_another() -> None:
    stage = Stage(lambda request: answer(cache_control="private"))
    await stage.ask()
    stage.origin.gate = asyncio.Event()
    asking = [asyncio.create_task(stage.pipeline.handle(make_request())) for _ in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert stage.fetches == 4
    stage.origin.gate.set()
    await asyncio.gather(*[Reply.of(answered) for answered in await asyncio.gather(*asking)])


async def test_credentials_never_wait_for_a_strangers_answer() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60", body=request.id.encode()))
    plain = make_request(id="plain")
    secret = make_request(fields={"Authorization": "Basic x"}, id="secret")
    replies = await together(stage, plain, secret)
    assert [reply.body for reply in replies] == [b"plain", b"secret"]


async def test_who_wants_another_variant_fetches_his_own_and_waits_for_his_like() -> None:
    def script(request: Request) -> Answer:
        return answer(cache_control="max-age=60", vary="Foo", body=(request.fields.get("foo") or "").encode())

    stage = Stage(script)
    requests = [make_request(fields={"Foo": str(number % 2)}) for number in range(MANY)]
    replies = await together(stage, *requests)
    assert [reply.body for reply in replies] == [b"0", b"1"] * (MANY // 2)
    assert stage.fetches == 2


async def test_a_failure_is_everybodys_and_asked_for_once() -> None:
    def script(request: Request) -> Answer:
        raise UpstreamError("connect", "origin-1", "refused", sent=False)

    stage = Stage(script)
    replies = await together(stage, *[make_request() for _ in range(MANY)])
    assert {reply.status for reply in replies} == {502}
    assert stage.fetches == 1


async def test_revalidation_is_collapsed_too() -> None:
    def script(request: Request) -> Answer:
        if "if-none-match" in request.fields:
            return Answer(304, Fields([("Etag", '"1"')]))
        return answer(cache_control="max-age=10", etag='"1"')

    stage = Stage(script)
    await stage.ask()
    stage.sleep(11)
    replies = await together(stage, *[make_request() for _ in range(MANY)])
    assert stage.fetches == 2
    assert {reply.body for reply in replies} == {b"body"}


async def test_one_refresh_goes_on_behind_however_many_get_the_stale_answer() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=10, stale-while-revalidate=60"))
    await stage.ask()
    stage.sleep(11)
    replies = await together(stage, *[make_request() for _ in range(MANY)])
    assert {reply.verdict for reply in replies} == {"stale"}
    assert stage.fetches == 2


async def test_the_fetch_goes_on_for_the_others_when_its_first_asker_leaves() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    stage.origin.gate = asyncio.Event()
    first = asyncio.create_task(stage.pipeline.handle(make_request()))
    await asyncio.sleep(0)
    second = asyncio.create_task(stage.pipeline.handle(make_request()))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    stage.origin.gate.set()
    assert (await Reply.of(await second)).body == b"body"
    assert stage.fetches == 1


async def test_the_fetch_is_given_up_when_the_last_asker_leaves() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    stage.origin.gate = asyncio.Event()
    only = asyncio.create_task(stage.pipeline.handle(make_request()))
    for _ in range(3):
        await asyncio.sleep(0)
    only.cancel()
    await asyncio.sleep(0)
    await stage.settle()
    assert len(stage.store) == 0
    stage.origin.gate.set()
    assert (await stage.ask()).verdict == "miss"


async def test_nobody_boards_a_fetch_that_is_being_given_up() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"))
    stage.origin.gate = asyncio.Event()
    first = asyncio.create_task(stage.pipeline.handle(make_request()))
    for _ in range(3):
        await asyncio.sleep(0)
    first.cancel()
    second = asyncio.create_task(stage.pipeline.handle(make_request()))
    await asyncio.sleep(0)
    stage.origin.gate.set()
    assert (await Reply.of(await second)).status == 200


class Slow(AsyncIterator[bytes]):
    """A body that gives a chunk for each `let`, and knows how many were taken and whether it was closed."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.left = chunks
        self.taken = 0
        self.closed = False
        self._may = asyncio.Semaphore(0)

    def let(self, count: int) -> None:
        for _ in range(count):
            self._may.release()

    async def __anext__(self) -> bytes:
        await self._may.acquire()
        if self.taken == len(self.left):
            raise StopAsyncIteration
        self.taken += 1
        return self.left[self.taken - 1]

    async def aclose(self) -> None:
        self.closed = True


def streamed(body: Slow, **fields: str) -> Answer:
    lines = [
        (name.replace("_", "-"), value) for name, value in {"cache_control": "max-age=60", **fields}.items()
    ]
    return Answer(200, Fields(lines), body)


async def test_everybody_gets_bytes_as_they_arrive_even_who_came_later() -> None:
    body = Slow([b"one ", b"two ", b"three"])
    stage = Stage(lambda request: streamed(body))
    first = (await stage.pipeline.handle(make_request())).body
    assert not isinstance(first, bytes)
    body.let(1)
    assert await anext(first) == b"one "
    late = await stage.pipeline.handle(make_request())
    assert late.outcome.verdict == "hit"
    assert not isinstance(late.body, bytes)
    assert await anext(late.body) == b"one "
    body.let(3)
    assert b"".join([chunk async for chunk in late.body]) == b"two three"
    assert b"".join([chunk async for chunk in first]) == b"two three"
    await stage.settle()
    assert (await stage.ask()).body == b"one two three"
    assert stage.fetches == 1


async def test_a_visitor_who_leaves_does_not_stop_the_fill() -> None:
    body = Slow([b"one ", b"two"])
    stage = Stage(lambda request: streamed(body))
    reply = await stage.pipeline.handle(make_request())
    assert not isinstance(reply.body, bytes)
    await reply.body.aclose()  # type: ignore[attr-defined]
    body.let(3)
    await stage.settle()
    assert (await stage.ask()).body == b"one two"


async def test_a_body_cut_short_is_not_kept_and_its_readers_learn_of_it() -> None:
    go_on = asyncio.Event()

    async def cut() -> AsyncIterator[bytes]:
        yield b"half"
        await go_on.wait()
        raise UpstreamError("reset", "origin-1", "gone", sent=True)

    stage = Stage(lambda request: Answer(200, Fields([("Cache-Control", "max-age=60")]), cut()))
    reply = await stage.pipeline.handle(make_request())
    assert not isinstance(reply.body, bytes)
    assert await anext(reply.body) == b"half"
    go_on.set()
    with pytest.raises(Cut, match="gone"):
        await anext(reply.body)
    await stage.settle()
    assert len(stage.store) == 0


async def test_a_body_that_breaks_off_at_once_is_a_failure_the_stale_one_may_cover() -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"half"
        raise UpstreamError("reset", "origin-1", "gone", sent=True)

    stage = Stage(lambda request: answer(cache_control="max-age=10"))
    await stage.ask()
    stage.origin.script = lambda request: Answer(200, Fields([("Cache-Control", "max-age=10")]), cut())
    assert (await stage.ask("/other")).status == 502
    stage.sleep(11)
    assert (await stage.ask()).reason == "origin-unreachable"


async def test_a_body_that_grows_too_large_is_streamed_and_not_kept() -> None:
    chunks = [bytes([number]) * 1000 for number in range(50)]
    stage = Stage(lambda request: answer(cache_control="max-age=60", body=list(chunks)), max_object=10_000)
    reply = await stage.ask()
    assert reply.body == b"".join(chunks)
    assert len(stage.store) == 0
    assert stage.store.size == 0


async def test_a_body_that_is_told_to_be_too_large_says_so() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60", body=b"x" * 20_000), max_object=10_000)
    reply = await stage.ask()
    assert (len(reply.body), reply.answer.outcome.stored) == (20_000, False)
    assert "stored" not in (reply["cache-status"] or "")


async def test_too_many_bodies_on_their_way_are_streamed_rather_than_kept() -> None:
    bodies = {f"/{number}": Slow([b"x" * 400, b"y" * 400]) for number in range(3)}
    stage = Stage(lambda request: streamed(bodies[request.path]), budget=20_000, max_object=5_000)
    stage.store.reserve(9_000)
    replies = [await stage.pipeline.handle(make_request(path)) for path in bodies]
    for body in bodies.values():
        body.let(1)
        await asyncio.sleep(0.001)
    for body in bodies.values():
        body.let(2)
    read = await asyncio.gather(*[Reply.of(reply) for reply in replies])
    assert {reply.body for reply in read} == {b"x" * 400 + b"y" * 400}
    await stage.settle()
    assert len(stage.store) < 3
    assert stage.store.reserved == 9_000


async def test_stored_bytes_are_the_same_object_for_everybody() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60"), SiteRules("shop"))
    await stage.ask()
    one, two = await stage.ask(), await stage.ask()
    assert one.answer.body is two.answer.body
    content = stage.store.get("shop.test/p/1\x00http")[0].content
    assert isinstance(content, Stored) and content.identity is one.answer.body


LARGE = [bytes([number % 256]) * 65_536 for number in range(64)]  # 4 MiB


def large(request: Request) -> Answer:
    """A body too large to keep, of an origin that knows ranges."""
    asked = request.fields.get("range")
    words = {"cache_control": "max-age=60", "etag": '"v1"'}
    whole = b"".join(LARGE)
    if asked is None:
        return answer(body=list(LARGE), content_length=str(len(whole)), **words)
    first = int(asked.removeprefix("bytes=").removesuffix("-"))
    part = whole[first:]
    return answer(206, [part], content_range=f"bytes {first}-{len(whole) - 1}/{len(whole)}", **words)


async def test_a_reader_too_slow_for_the_others_goes_on_with_a_fetch_of_his_own() -> None:
    stage = Stage(large, max_object=100_000)
    stage.origin.gate = asyncio.Event()
    asking = [asyncio.create_task(stage.pipeline.handle(make_request())) for _ in range(2)]
    for _ in range(3):
        await asyncio.sleep(0)
    stage.origin.gate.set()
    slow, quick = [(await asked).body for asked in asking]
    assert not isinstance(slow, bytes) and not isinstance(quick, bytes)
    first = await anext(slow)
    whole = b"".join([chunk async for chunk in quick])
    assert whole == b"".join(LARGE)
    assert stage.fetches == 1
    assert first + b"".join([chunk async for chunk in slow]) == whole
    assert stage.fetches == 2
    assert stage.origin.asked[1].fields.get("range") == f"bytes={len(first)}-"
    assert stage.origin.asked[1].fields.get("if-range") == '"v1"'


async def test_the_rest_of_another_body_is_never_sewn_on() -> None:
    stage = Stage(large, max_object=100_000)
    stage.origin.gate = asyncio.Event()
    asking = [asyncio.create_task(stage.pipeline.handle(make_request())) for _ in range(2)]
    for _ in range(3):
        await asyncio.sleep(0)
    stage.origin.gate.set()
    slow, quick = [(await asked).body for asked in asking]
    assert not isinstance(slow, bytes) and not isinstance(quick, bytes)
    await anext(slow)
    stage.origin.script = lambda request: answer(body=b"another", etag='"v2"')
    async for _ in quick:
        pass
    with pytest.raises(Cut):
        await anext(slow)


async def test_an_origin_without_ranges_is_read_again_from_its_beginning() -> None:
    stage = Stage(large, max_object=100_000)
    stage.origin.gate = asyncio.Event()
    asking = [asyncio.create_task(stage.pipeline.handle(make_request())) for _ in range(2)]
    for _ in range(3):
        await asyncio.sleep(0)
    stage.origin.gate.set()
    slow, quick = [(await asked).body for asked in asking]
    assert not isinstance(slow, bytes) and not isinstance(quick, bytes)
    first = await anext(slow)
    stage.origin.script = lambda request: answer(body=list(LARGE), etag='"v1"')
    async for _ in quick:
        pass
    assert first + b"".join([chunk async for chunk in slow]) == b"".join(LARGE)
