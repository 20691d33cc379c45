"""Purges, shields and stale answers at once: what was purged is never fresh again (shopware/recipes#40)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.http.message import Answer, Request
from edge.position import Position
from edge.purge import Purge
from tests.edge.stage import Reply, Stage, answer, make_request
from tests.edge.tiered import Chain

URL = "http://shop.test/p/1"
FRESH = "max-age=600, stale-while-revalidate=600"


@dataclass
class Shop:
    """An origin whose page has a version. What it is asked while `held` it answers as it was then, later."""

    version: int = 0
    asked: list[Request] = field(default_factory=list)

    def script(self, request: Request) -> Answer:
        self.asked.append(request)
        tag = f'"v{self.version}"'
        if request.fields.get("if-none-match") == tag:
            return Answer(304, answer(etag=tag, cache_control=FRESH).fields.without("content-length"))
        return answer(200, b"v%d" % self.version, etag=tag, cache_control=FRESH, cache_tag="page")


async def purge(stage: Stage, number: int, *, soft: bool = True) -> None:
    """Event `number` of the journal, as a node applies it."""
    at = Position("line", number)
    await stage.pipeline.purge(Purge("url", URL, soft), at)
    stage.position = at


def chain(shop: Shop) -> Chain:
    made = Chain(shop.script)
    for stage in made.stages:
        stage.position = Position("line", 0)
    return made


async def seen(stage: Stage) -> tuple[str, bytes]:
    reply = await Reply.of(await stage.pipeline.handle(make_request()))
    return reply.verdict, reply.body


async def test_one_cold_page_is_fetched_once_and_kept_by_all() -> None:
    shop = Shop()
    tiers = chain(shop)
    assert await seen(tiers.child) == ("miss", b"v0")
    await tiers.settle()
    assert [await seen(stage) for stage in tiers.stages] == [("hit", b"v0")] * 3
    assert len(shop.asked) == 1


@pytest.mark.parametrize("soft", [True, False])
async def test_a_parent_that_has_not_heard_of_the_purge_does_not_bring_the_old_page_back(soft: bool) -> None:
    shop = Shop()
    tiers = chain(shop)
    await seen(tiers.child)
    await tiers.settle()
    shop.version = 1
    await purge(tiers.child, 1, soft=soft)
    assert await seen(tiers.child) == (("stale", b"v0") if soft else ("miss", b"v1"))
    await tiers.settle()
    assert await seen(tiers.child) == ("hit", b"v1")
    assert len(shop.asked) == 2


async def test_what_a_parent_serves_stale_is_stale_below() -> None:
    shop = Shop()
    tiers = chain(shop)
    await seen(tiers.child)
    await tiers.settle()
    shop.version = 1
    tiers.shield.origin.gate = asyncio.Event()
    for stage in tiers.stages:
        await purge(stage, 1)
    assert await seen(tiers.child) == ("stale", b"v0")  # which asks its owner, which is stale and asks ...
    for _ in range(50):
        await asyncio.sleep(0)
    assert await seen(tiers.child) == ("stale", b"v0")
    tiers.shield.origin.gate.set()
    await tiers.settle()
    verdicts = []
    for _ in range(4):
        verdicts.append(await seen(tiers.child))
        await tiers.settle()
    assert ("hit", b"v0") not in verdicts
    assert verdicts[-1] == ("hit", b"v1")


async def test_nobody_who_knows_of_a_purge_waits_for_a_fetch_of_before() -> None:
    shop = Shop()
    tiers = chain(shop)
    gate = tiers.shield.origin.gate = asyncio.Event()
    first = asyncio.create_task(seen(tiers.shield))  # it has asked the origin for v0
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    shop.version = 1
    await purge(tiers.child, 1, soft=False)
    second = asyncio.create_task(seen(tiers.child))
    for _ in range(50):
        await asyncio.sleep(0)
    gate.set()
    await first
    assert (await second)[1] == b"v1"
    await tiers.settle()
    assert len(tiers.shield.origin.asked) == 2
    assert await seen(tiers.child) == ("hit", b"v1")


async def test_a_thousand_who_know_of_a_purge_cost_a_parent_that_does_not_one_fetch() -> None:
    shop = Shop()
    tiers = chain(shop)
    await seen(tiers.shield)
    await tiers.settle()
    shop.version = 1
    await purge(tiers.child, 1, soft=False)
    await purge(tiers.owner, 1, soft=False)
    replies = await asyncio.gather(*(seen(tiers.child if at % 2 else tiers.owner) for at in range(1000)))
    assert {body for _, body in replies} == {b"v1"}
    await tiers.settle()
    assert len(shop.asked) == 2


async def test_what_was_asked_for_before_a_soft_purge_is_stale_for_who_comes_after_it() -> None:
    """He waits for a fetch that began before: what it brings is no hit, and one more fetch serves all."""
    shop = Slow()
    tiers = chain(shop)
    for stage in tiers.stages:
        stage.origin.fetch = shop.fetch  # type: ignore[method-assign]
    first = asyncio.create_task(seen(tiers.child))
    while not shop.waiting:
        await asyncio.sleep(0)
    shop.version = 1
    await purge(tiers.child, 1, soft=True)
    later = [asyncio.create_task(seen(tiers.child)) for _ in range(100)]
    while not all(task.done() for task in later):
        shop.answer(0)
        await asyncio.sleep(0)
    assert (await first)[1] == b"v0"
    assert ("hit", b"v0") not in [task.result() for task in later]
    while any(stage.tasks for stage in tiers.stages):
        shop.answer(0)
        await asyncio.sleep(0)
    assert await seen(tiers.child) == ("hit", b"v1")
    assert len(shop.asked) == 2


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.booleans()),
        st.tuples(st.just("apply"), st.integers(0, 2)),
        st.tuples(st.just("visit"), st.integers(0, 2)),
        st.tuples(st.just("answer"), st.integers(0, 3)),
        st.tuples(st.just("rest"), st.integers(0, 30)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_no_node_gives_as_fresh_what_was_purged_before_it_was_asked(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_story(steps))


async def _story(steps: list[tuple[str, int]]) -> None:
    """The page changes, then is purged; nodes hear of it when they do; the origin answers when it does."""
    shop = Slow()
    tiers = Chain(shop.script)
    for stage in tiers.stages:
        stage.position = Position("line", 0)
        stage.origin.fetch = shop.fetch  # type: ignore[method-assign]
    journal: list[bool] = []
    visits: list[asyncio.Task[None]] = []

    async def visit(stage: Stage) -> None:
        least = stage.position.number
        reply = await Reply.of(await stage.pipeline.handle(make_request()))
        ttl = reply.answer.outcome.ttl
        if ttl is None or ttl > 0:  # what a parent serves stale is a miss here, and stale all the same
            assert int(reply.body[1:]) >= least, f"{reply.verdict} {reply.body!r} at {least}"

    for step, value in steps:
        match step:
            case "change":
                shop.version += 1
                journal.append(bool(value))
            case "apply":
                stage = tiers.stages[value]
                if stage.position.number < len(journal):
                    await purge(stage, stage.position.number + 1, soft=journal[stage.position.number])
            case "visit":
                visits.append(asyncio.create_task(visit(tiers.stages[value])))
            case "answer":
                shop.answer(value)
            case "rest":
                for _ in range(value):
                    await asyncio.sleep(0)
    while not all(task.done() for task in visits) or any(stage.tasks for stage in tiers.stages):
        shop.answer(0)
        await asyncio.sleep(0)
    await asyncio.gather(*visits)
    for stage in tiers.stages:
        while stage.position.number < len(journal):
            await purge(stage, stage.position.number + 1, soft=journal[stage.position.number])
    for _ in range(8):
        for stage in tiers.stages:
            task = asyncio.create_task(visit(stage))
            while not task.done() or any(each.tasks for each in tiers.stages):
                shop.answer(0)
                await asyncio.sleep(0)
            await task
    assert [await seen(stage) for stage in tiers.stages] == [("hit", b"v%d" % shop.version)] * 3


class Slow(Shop):
    """Answers each request as the page was when it came, but only when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[asyncio.Event] = []

    async def fetch(self, site: str, request: Request) -> Answer:
        made, turn = self.script(request), asyncio.Event()
        self.waiting.append(turn)
        await turn.wait()
        return made

    def answer(self, at: int) -> None:
        """Lets one that waits have its answer."""
        if self.waiting:
            self.waiting.pop(at % len(self.waiting)).set()


async def test_what_a_visitors_own_request_outdates_does_not_come_back_from_an_owner() -> None:
    """RFC 9111 §4.4 for the fleet: the node that saw the POST asks for something newer."""
    shop = Shop()
    tiers = chain(shop)
    await seen(tiers.child)
    await tiers.settle()
    shop.version = 1
    tiers.clock.at += 5
    await Reply.of(await tiers.child.pipeline.handle(make_request(method="POST", body=b"x")))
    assert await seen(tiers.child) == ("miss", b"v1")
    await tiers.settle()
    assert [await seen(stage) for stage in tiers.stages] == [("hit", b"v1")] * 3
    fetches = len(shop.asked)
    tiers.clock.at += 5
    await purge(tiers.child, 1, soft=False)
    await purge(tiers.owner, 1, soft=False)
    assert await seen(tiers.child) == ("miss", b"v1")  # from the owner, who revalidates at the shield
    assert len(shop.asked) <= fetches + 1


@pytest.mark.parametrize("soft", [True, False])
async def test_without_a_journal_a_node_that_was_purged_first_does_not_get_the_old_page_back(
    soft: bool,
) -> None:
    shop = Shop()
    tiers = Chain(shop.script)
    await seen(tiers.child)
    await tiers.settle()
    shop.version = 1
    tiers.clock.at += 5
    await tiers.child.pipeline.purge(Purge("tag", "page", soft), tiers.child.position)
    await seen(tiers.child)
    await tiers.settle()
    assert await seen(tiers.child) == ("hit", b"v1")


async def test_a_thousand_who_need_something_newer_cost_one_fetch() -> None:
    shop = Shop()
    tiers = Chain(shop.script)
    await seen(tiers.child)
    await tiers.settle()
    tiers.clock.at += 5
    shop.version = 1
    await tiers.child.pipeline.purge(Purge("url", URL), tiers.child.position)
    replies = await asyncio.gather(*(seen(tiers.child) for _ in range(1000)))
    assert {body for _, body in replies} == {b"v1"}
    await tiers.settle()
    assert len(shop.asked) == 2
