"""Stories of cache groups (RFC 9875): what an unsafe request outdates beside its own URL."""

from __future__ import annotations

import asyncio

from edge.http.message import Answer, Request
from edge.purge import Groups
from tests.edge.nodes import node
from tests.edge.stage import Reply, Stage, answer, confirming, make_request
from tests.edge.wires import Heard, origin
from tests.edge.wires import answer as wire_answer


def shop(request: Request) -> Answer:
    """A page belongs to the groups that its query names; what is sent outdates those in its query."""
    names = ", ".join(f'"{name}"' for name in (request.query or "").split(",") if name)
    if request.method == "GET":
        return answer(cache_control="max-age=60", vary="Foo", cache_groups=names)
    return answer(303 if request.path == "/buy" else 500, cache_group_invalidation=names)


async def living(stage: Stage, *targets: str, **more: str) -> list[str]:
    told = [await stage.pipeline.explain(make_request(target, **more)) for target in targets]
    return [target for target, one in zip(targets, told, strict=True) if one.decision == "hit"]


PAGES = ("/1?news", "/2?news,home", "/3?home", "/4?News", "/5?")


async def test_every_answer_of_a_named_group_goes_and_no_other() -> None:
    stage = Stage(shop)
    for page in PAGES:
        for foo in "12":
            await stage.ask(page, {"Foo": foo})
    reply = await stage.ask("/buy?news,other", method="POST")
    assert reply["cache-group-invalidation"] == '"news", "other"'  # caches further on may want it
    assert len(stage.store) == 6
    assert await living(stage, *PAGES, fields={"Foo": "1"}) == ["/3?home", "/4?News", "/5?"]
    assert (await stage.ask("/3?home", {"Foo": "1"}))["cache-groups"] == '"home"'


async def test_an_unsafe_request_that_fails_or_a_safe_one_outdates_nothing() -> None:
    stage = Stage(shop)
    await stage.ask("/1?news")
    await stage.ask("/fails?news", method="POST")
    stage.origin.script = lambda request: answer(cache_group_invalidation='"news"', cache_control="no-store")
    for method in ("GET", "HEAD", "OPTIONS"):
        await stage.ask("/buy", method=method)
    assert await living(stage, "/1?news") == ["/1?news"]


async def test_groups_end_at_the_origin() -> None:
    stage = Stage(shop)
    elsewhere = [
        {"scheme": "https", "host": "shop.test"},
        {"scheme": "http", "host": "www.shop.test"},
        {"scheme": "http", "host": "shop.test:8080"},
    ]
    await stage.ask("/1?news")
    for place in elsewhere:
        await stage.ask("/1?news", **place)
    await stage.ask("/buy?news", method="POST")
    assert await living(stage, "/1?news") == []
    for place in elsewhere:
        assert await living(stage, "/1?news", **place) == ["/1?news"], place


async def test_an_answer_that_is_still_asked_for_is_struck_too() -> None:
    stage = Stage(shop)
    stage.origin.gate = asyncio.Event()
    asking = asyncio.create_task(stage.pipeline.handle(make_request("/1?news")))
    for _ in range(5):
        await asyncio.sleep(0)
    gate, stage.origin.gate = stage.origin.gate, None
    await stage.pipeline.handle(make_request("/buy?news", method="POST"))
    gate.set()
    reply = await Reply.of(await asking)
    await stage.settle()
    assert (reply.status, reply.answer.outcome.detail) == (200, "purged-meanwhile")
    assert len(stage.store) == 0


async def test_an_answer_that_is_still_arriving_is_struck_too() -> None:
    stage = Stage(shop)
    arrived = asyncio.Event()

    async def body():  # type: ignore[no-untyped-def]
        yield b"first"
        await arrived.wait()
        yield b"last"

    slow = answer(cache_control="max-age=60", cache_groups='"news"').but(body=body())
    stage.origin.script = lambda request: slow if request.method == "GET" else shop(request)
    first = await stage.pipeline.handle(make_request("/1?news"))
    stage.origin.script = shop
    await asyncio.wait_for(stage.pipeline.handle(make_request("/buy?news", method="POST")), 5)
    second = await stage.pipeline.handle(make_request("/1?news"))  # does not follow the old one
    assert second.outcome.verdict == "miss"
    arrived.set()
    assert (await Reply.of(first)).body == b"firstlast"
    await Reply.of(second)
    await stage.settle()
    assert stage.fetches == 3


async def test_a_304_moves_an_answer_to_other_groups() -> None:
    stage = Stage(
        lambda request: confirming(request).but(
            fields=confirming(request).fields.plus(("Cache-Groups", '"a"'))
        )
    )
    await stage.ask()
    stage.sleep(61)
    stage.origin.script = lambda request: confirming(request).but(
        fields=confirming(request).fields.plus(("Cache-Groups", '"b"'))
    )
    assert (await stage.ask()).verdict == "revalidated"
    assert len(stage.store.struck_by(Groups("http://shop.test", frozenset({"a"})))) == 0
    assert len(stage.store.struck_by(Groups("http://shop.test", frozenset({"a", "b"})))) == 1


async def test_a_field_that_is_no_list_of_strings_means_nothing() -> None:
    stage = Stage(lambda request: answer(cache_control="max-age=60", cache_groups="news"))
    await stage.ask("/1")
    stage.origin.script = lambda request: answer(cache_group_invalidation='"news", 1')
    await stage.ask("/buy", method="POST")
    assert await living(stage, "/1") == ["/1"]
    assert len(stage.store.struck_by(Groups("http://shop.test", frozenset({"news"})))) == 0


async def test_explain_names_the_groups() -> None:
    stage = Stage(shop)
    await stage.ask("/1?news,home")
    (variant,) = (await stage.pipeline.explain(make_request("/1?news,home"))).variants
    assert variant.groups == ("news", "home")


async def test_what_is_replayed_without_asking_the_pipeline_is_struck_before_the_client_is_answered() -> None:
    async def script(heard: Heard, writer: asyncio.StreamWriter) -> None:
        field = "Cache-Groups" if heard.method == "GET" else "Cache-Group-Invalidation"
        writer.write(wire_answer(b"x", "200 OK", "Cache-Control: max-age=60", f'{field}: "news"'))

    async with origin(script) as behind, node(behind.url) as edge, edge.visit() as visit:
        for _ in range(3):
            assert (await visit.get("/1")).status == 200
        assert (len(behind.heard), edge.running.lanes["http"].answers) == (1, 1)
        visit.say("POST", "/buy", b"x")
        assert (await visit.hear()).status == 200
        await visit.get("/1")
        assert [heard.target for heard in behind.heard] == ["/1", "/buy", "/1"]
