"""Stories of purges: what they strike, what they spare, and why none is lost to a fill under way."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Answer, Fields, Request
from edge.policy.rules import SiteRules
from edge.position import ALONE
from edge.purge import Keys, Names, Prefix, Purge, PurgeLog, Site, Tag, mark_of
from tests.edge.stage import Reply, Stage, answer, confirming, make_request


def tagged(request: Request) -> Answer:
    return answer(
        cache_control="max-age=60",
        vary="Foo",
        cache_tag=f"all, page-{request.path[1:]}",
        etag=f'"{request.path}"',
    )


def named(*tags: str) -> Names:
    return Names("k", "s", frozenset(tags))


async def stored(stage: Stage, *paths: str) -> None:
    for path in paths:
        await stage.ask(path)


async def living(stage: Stage, *paths: str) -> list[str]:
    """Those of `paths` that are hits; asks for nothing."""
    return [path for path in paths if (await stage.pipeline.explain(make_request(path))).decision == "hit"]


@pytest.mark.parametrize(
    ("purge", "left"),
    [
        (Purge("url", "http://shop.test/a"), ["/ab", "/b"]),
        (Purge("url", "https://SHOP.test:443/a"), ["/ab", "/b"]),
        (Purge("url", "http://shop.test/none"), ["/a", "/ab", "/b"]),
        (Purge("prefix", "http://shop.test/a"), ["/b"]),
        (Purge("prefix", "https://shop.test/"), []),
        (Purge("tag", "page-ab"), ["/a", "/b"]),
        (Purge("tag", "page-a"), ["/ab", "/b"]),
        (Purge("tag", "all"), []),
        (Purge("tag", "all", site="shop"), []),
        (Purge("tag", "all", site="other"), ["/a", "/ab", "/b"]),
        (Purge("site", "shop"), []),
        (Purge("site", "www.shop.test"), []),
        (Purge("site", "elsewhere.test"), ["/a", "/ab", "/b"]),
    ],
    ids=str,
)
async def test_a_purge_strikes_exactly_what_it_names(purge: Purge, left: list[str]) -> None:
    stage = Stage(tagged)
    await stored(stage, "/a", "/ab", "/b")
    found = 3 - len(left)
    assert (await stage.pipeline.weigh(purge)).entries == found
    assert await living(stage, "/a", "/ab", "/b") == ["/a", "/ab", "/b"]
    assert await stage.pipeline.purge(purge, ALONE) == found
    assert await living(stage, "/a", "/ab", "/b") == left
    assert len(stage.store) == len(left)


async def test_a_dry_run_tells_the_share_of_the_hot_bytes() -> None:
    stage = Stage(tagged)
    await stored(stage, "/a", "/ab", "/b")
    cold = await stage.pipeline.weigh(Purge("tag", "all"))
    assert (cold.entries, cold.bytes, cold.hot_bytes, cold.hot_share) == (
        3,
        stage.store.size - stage.store.opened,
        0,
        0.0,
    )
    await stage.ask("/a")
    await stage.ask("/b")
    every = await stage.pipeline.weigh(Purge("tag", "all"))
    one = await stage.pipeline.weigh(Purge("url", "http://shop.test/a"))
    none = await stage.pipeline.weigh(Purge("url", "http://shop.test/ab"))
    assert 0 < every.hot_bytes == every.hot_bytes_stored < every.bytes
    assert 0.4 < one.hot_share < 0.6 and one.hot_bytes == one.bytes
    assert (none.entries, none.hot_share) == (1, 0.0)
    stage.store.heat.turn()
    await stage.ask("/a")
    stage.store.heat.turn()
    assert (await stage.pipeline.weigh(Purge("url", "http://shop.test/a"))).hot_share == 1.0


async def test_a_dry_run_of_much_lets_others_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.store.memory.SLICE", 1)
    stage = Stage(tagged)
    await stored(stage, "/a", "/ab", "/b")
    weighing = asyncio.ensure_future(stage.pipeline.weigh(Purge("tag", "all")))
    await asyncio.sleep(0)
    assert not weighing.done()
    await stage.pipeline.purge(Purge("site", "shop"), ALONE)
    assert 1 <= (await weighing).entries < 3  # what went meanwhile weighs nothing


async def test_a_url_is_purged_in_every_variant() -> None:
    stage = Stage(tagged)
    for foo in "123":
        await stage.ask("/a", {"Foo": foo})
    assert await stage.pipeline.purge(Purge("url", "http://shop.test/a"), ALONE) == 3
    assert len(stage.store) == 0


async def test_a_soft_purge_makes_stale_what_may_still_be_served_stale() -> None:
    rules = SiteRules("shop", stale_while_revalidate=30)
    stage = Stage(
        lambda request: answer(cache_control="max-age=60", cache_tag="t", body=b"%d" % stage.fetches), rules
    )
    await stage.ask()
    stage.sleep(5)
    assert await stage.pipeline.purge(Purge("tag", "t", soft=True), ALONE) == 1
    stage.sleep(29)
    stale = await stage.ask()
    fresh = await stage.ask()
    assert (stale.verdict, stale.body) == ("stale", b"1")
    assert (fresh.verdict, fresh.body) == ("hit", b"2")


async def test_a_soft_purge_without_such_leave_means_asking_first() -> None:
    stage = Stage(confirming)
    await stage.ask()
    await stage.pipeline.purge(Purge("url", "http://shop.test/p/1", soft=True), ALONE)
    reply = await stage.ask()
    assert (reply.verdict, reply.reason) == ("revalidated", "stale")
    assert (await stage.ask()).verdict == "hit"


@pytest.mark.parametrize(
    "purge",
    [
        Purge("url", "http://shop.test/a"),
        Purge("prefix", "http://shop.test/"),
        Purge("tag", "page-a"),
        Purge("site", "shop"),
    ],
    ids=str,
)
async def test_an_answer_under_way_when_its_purge_comes_is_handed_over_but_not_kept(purge: Purge) -> None:
    stage = Stage(tagged)
    stage.origin.gate = asyncio.Event()
    asking = asyncio.create_task(stage.pipeline.handle(make_request("/a")))
    for _ in range(3):
        await asyncio.sleep(0)
    await stage.pipeline.purge(purge, ALONE)
    stage.origin.gate.set()
    reply = await Reply.of(await asking)
    await stage.settle()
    assert reply.body == b"body"
    assert "detail=purged-meanwhile" in (reply["cache-status"] or "")
    assert len(stage.store) == 0
    await stage.ask("/a")
    assert len(stage.store) == 1


async def test_who_comes_after_a_purge_gets_nothing_asked_for_before_it() -> None:
    stage = Stage(
        lambda request: answer(cache_control="max-age=60", cache_tag="t", body=b"asked %d" % stage.fetches)
    )
    stage.origin.gate = asyncio.Event()
    before = asyncio.create_task(stage.pipeline.handle(make_request()))
    for _ in range(3):
        await asyncio.sleep(0)
    await stage.pipeline.purge(Purge("tag", "t"), ALONE)
    after = asyncio.create_task(stage.pipeline.handle(make_request()))
    for _ in range(3):
        await asyncio.sleep(0)
    stage.origin.gate.set()
    assert (await Reply.of(await before)).body == b"asked 1"
    assert (await Reply.of(await after)).body == b"asked 2"


async def test_a_body_still_arriving_when_its_purge_comes_is_neither_joined_nor_kept() -> None:
    go_on = asyncio.Event()

    async def slow() -> object:
        yield b"old"
        await go_on.wait()

    stage = Stage(
        lambda request: Answer(200, Fields([("Cache-Control", "max-age=60"), ("xkey", "t")]), slow())
    )
    first = await stage.pipeline.handle(make_request())
    await stage.pipeline.purge(Purge("tag", "t"), ALONE)
    stage.origin.script = lambda request: answer(body=b"new", cache_control="max-age=60")
    second = await stage.pipeline.handle(make_request())
    assert (await Reply.of(second)).body == b"new"
    go_on.set()
    assert (await Reply.of(first)).body == b"old"
    await stage.settle()
    assert (await stage.ask()).body == b"new"


async def test_a_confirmation_under_way_when_its_purge_comes_does_not_bring_the_entry_back() -> None:
    stage = Stage(confirming)
    await stage.ask()
    stage.sleep(61)
    stage.origin.gate = asyncio.Event()
    asking = asyncio.create_task(stage.pipeline.handle(make_request()))
    for _ in range(3):
        await asyncio.sleep(0)
    await stage.pipeline.purge(Purge("site", "shop"), ALONE)
    stage.origin.gate.set()
    assert (await Reply.of(await asking)).body == b"body"
    await stage.settle()
    assert len(stage.store) == 0


async def test_a_soft_purge_makes_a_fill_under_way_stale_on_arrival() -> None:
    stage = Stage(tagged)
    stage.origin.gate = asyncio.Event()
    asking = asyncio.create_task(stage.pipeline.handle(make_request("/a")))
    for _ in range(3):
        await asyncio.sleep(0)
    await stage.pipeline.purge(Purge("tag", "page-a", soft=True), ALONE)
    stage.origin.gate.set()
    await Reply.of(await asking)
    await stage.settle()
    assert (await stage.pipeline.explain(make_request("/a"))).decision == "revalidate"


async def test_a_large_purge_is_complete_at_once_and_cleans_up_behind() -> None:
    stage = Stage(tagged, budget=2**26)
    paths = [f"/{number}" for number in range(4500)]
    await stored(stage, *paths)
    found = await stage.pipeline.purge(Purge("tag", "all"), ALONE)
    assert found == 4500
    assert len(stage.store) > 0
    assert await living(stage, *paths) == []
    await stage.settle()
    assert len(stage.store) == 0
    assert stage.store.size == 0


async def test_what_is_filled_after_a_large_purge_is_spared_by_its_clean_up() -> None:
    stage = Stage(tagged, budget=2**26)
    await stored(stage, *[f"/{number}" for number in range(4500)])
    await stage.pipeline.purge(Purge("site", "shop"), ALONE)
    await Reply.of(await stage.pipeline.handle(make_request("/4499")))
    await stage.settle()
    assert await living(stage, "/4498", "/4499") == ["/4499"]


async def test_after_a_snapshot_every_older_entry_is_confirmed_before_its_next_use() -> None:
    rules = SiteRules("shop", stale_while_revalidate=600, stale_if_error=600)
    stage = Stage(confirming, rules)
    await stage.ask()
    await stage.pipeline.distrust()
    reply = await stage.ask()
    assert (reply.verdict, reply.reason) == ("revalidated", "distrusted")
    assert (await stage.ask()).verdict == "hit"
    await stage.pipeline.distrust()
    stage.origin.script = lambda request: answer(503)
    assert (await stage.ask()).status == 503


async def test_a_fill_under_way_when_trust_was_lost_is_confirmed_as_well() -> None:
    stage = Stage(confirming)
    stage.origin.gate = asyncio.Event()
    asking = asyncio.create_task(stage.pipeline.handle(make_request()))
    for _ in range(3):
        await asyncio.sleep(0)
    await stage.pipeline.distrust()
    stage.origin.gate.set()
    await Reply.of(await asking)
    await stage.settle()
    assert (await stage.ask()).reason == "distrusted"


@pytest.mark.parametrize("kind", ["url", "prefix"])
@pytest.mark.parametrize("value", ["/p/1", "ftp://shop.test/", "", "http://", "shop.test/p"])
async def test_a_url_that_is_none_is_refused_with_what_would_do(kind: str, value: str) -> None:
    stage = Stage(tagged)
    with pytest.raises(ValueError, match=f"{kind}: got '{value}', expected an absolute URL"):
        await stage.pipeline.purge(Purge(kind, value), ALONE)  # type: ignore[arg-type]


def test_purges_become_marks() -> None:
    assert mark_of(Purge("url", "http://a.test/x?q#f"), "") == Keys(
        ("a.test/x?q\x00http", "a.test/x?q\x00https")
    )
    assert mark_of(Purge("prefix", "http://a.test", soft=True), "") == Prefix("a.test/", True)
    assert mark_of(Purge("tag", "t", site="s"), "") == Tag("t", "s")
    assert mark_of(Purge("site", "a.test"), "named") == Site("named")


def test_the_log_forgets_when_no_older_fill_is_under_way() -> None:
    log = PurgeLog()
    order = log.begin()
    log.record(Tag("t"))
    assert log.struck(order, named("t")) == Tag("t")
    assert log.struck(order, named("u")) is None
    log.end(order)
    assert log.struck(order, named("t")) is None


def test_a_hard_purge_outweighs_a_soft_one() -> None:
    log = PurgeLog()
    order = log.begin()
    log.record(Tag("t", soft=True))
    log.record(Site("s"))
    log.record(Tag("t", soft=True))
    assert log.struck(order, named("t")) == Site("s")


def test_a_log_that_overflows_strikes_what_it_cannot_vouch_for() -> None:
    log = PurgeLog(limit=10)
    old = log.begin()
    for number in range(11):
        log.record(Tag(f"t{number}"))
    young = log.begin()
    assert log.struck(old, named()) is not None
    assert log.struck(young, named()) is None


@given(
    st.lists(st.one_of(st.just("begin"), st.just("end"), st.text("ab", min_size=1, max_size=1)), max_size=60)
)
def test_a_fill_is_struck_by_exactly_the_purges_since_its_beginning(script: list[str]) -> None:
    log = PurgeLog()
    fills: list[tuple[int, set[str]]] = []
    for word in script:
        if word == "begin":
            fills.append((log.begin(), set()))
        elif word == "end":
            if fills:
                log.end(fills.pop(len(fills) // 2)[0])
        else:
            log.record(Tag(word))
            for _, since in fills:
                since.add(word)
        for order, since in fills:
            for tag in "ab":
                assert (log.struck(order, named(tag)) is not None) == (tag in since)
