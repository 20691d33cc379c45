"""Whatever is stored, asked, changed, purged or cut meanwhile: an answer's bytes are those of one version."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.http.message import Answer, Request
from edge.http.ranges import content_range
from edge.policy.rules import SiteRules, SliceRules
from edge.position import ALONE
from edge.purge import Purge
from edge.store.fill import AHEAD, Cut
from edge.upstream.contract import UpstreamError
from tests.edge.films import Film, content, part
from tests.edge.stage import Stage, make_request

SLICE = 96 * 1024
SMALL, LARGE = 50_000, 2 * AHEAD + 300_000  # one that the store keeps whole, one that it slices


@cache
def body_of(size: int, version: int) -> bytes:
    return content(size, salt=version)


@dataclass
class Reading:
    """An answer that is being read, and what has come of it."""

    answer: Answer
    version: int  # the one that the origin had when it was asked for
    got: bytes = b""
    over: bool = False
    cut: bool = False

    async def read(self, chunks: int) -> None:
        """Read on, `chunks` pieces at most."""
        body = self.answer.body
        if isinstance(body, bytes):
            self.got, self.over = body, True
            return
        for _ in range(chunks):
            if self.over:
                return
            try:
                self.got += await anext(body)
            except StopAsyncIteration:
                self.over = True
            except (Cut, UpstreamError):
                self.over = self.cut = True

    async def close(self) -> None:
        if isinstance(self.answer.body, AsyncIterator):
            aclose = getattr(self.answer.body, "aclose", None)
            if aclose is not None:
                await aclose()


@dataclass
class Play:
    """A stage, a film that changes, and those who watch it."""

    size: int
    knows_conditions: bool
    version: int = 0
    readings: list[Reading] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.film = Film(body_of(self.size, 0), '"0"', chunk=20_000)
        rules = SiteRules("shop", slices=SliceRules(size=SLICE))
        self.stage = Stage(self.origin, rules, budget=4 * 2**20, max_object=SMALL)

    def origin(self, request: Request) -> Answer:
        if not self.knows_conditions:  # it ignores If-Range, and gives parts of whatever it has
            request = make_request(fields=request.fields.without("if-range").lines, method=request.method)
        return self.film(request)

    async def change(self) -> None:
        self.version += 1
        self.film.body, self.film.etag = body_of(self.size, self.version), f'"{self.version}"'

    async def ask(self, asked: str | None) -> None:
        fields = {} if asked is None else part(asked)
        answer = await self.stage.pipeline.handle(make_request(fields=fields))
        self.readings.append(Reading(answer, self.version))

    async def read(self, which: int, chunks: int) -> None:
        if self.readings:
            await self.readings[which % len(self.readings)].read(chunks)

    async def leave(self, which: int) -> None:
        if self.readings:
            reading = self.readings.pop(which % len(self.readings))
            self.check(reading)
            await reading.close()

    async def cut(self, after: int) -> None:
        self.film.cut = after

    async def purge(self, soft: bool) -> None:
        await self.stage.pipeline.purge(Purge("site", "shop", soft=soft), ALONE)

    async def sleep(self, seconds: int) -> None:
        self.stage.sleep(seconds)

    async def end(self) -> None:
        while self.readings:
            reading = self.readings.pop()
            while not reading.over:
                await reading.read(1000)
            self.check(reading)
        await self.stage.settle()
        assert self.stage.store.reserved == 0
        assert self.stage.store.size <= self.stage.store.budget

    def check(self, reading: Reading) -> None:
        answer, got = reading.answer, reading.got
        if answer.status >= 500:
            assert answer.outcome.verdict == "error"
            return
        if answer.status == 416:
            assert answer.fields.get("content-range") == f"bytes */{self.size}"
            return
        version = int((answer.fields.get("etag") or "").strip('"'))
        body = body_of(self.size, version)
        if answer.status == 206:
            said = content_range(answer.fields.get("content-range"))
            assert said is not None and said[1] == len(body)
            body = body[said[0].first : said[0].end]
        else:
            assert answer.status == 200
        assert body.startswith(got)
        assert answer.fields.get("content-length") == str(len(body))
        if reading.over and not reading.cut:
            assert len(got) == len(body)


def asked(size: int) -> st.SearchStrategy[str | None]:
    offsets = st.integers(0, size - 1)
    spans = st.tuples(offsets, st.integers(0, 3 * SLICE)).map(lambda pair: f"{pair[0]}-{sum(pair)}")
    return st.none() | spans | offsets.map("{}-".format) | offsets.map(lambda count: f"-{count + 1}")


def steps(size: int) -> st.SearchStrategy[tuple[object, ...]]:
    return st.one_of(
        st.tuples(st.just("ask"), asked(size)),
        st.tuples(st.just("ask"), asked(size)),
        st.tuples(st.just("read"), st.integers(0, 5), st.integers(1, 40)),
        st.tuples(st.just("read"), st.integers(0, 5), st.integers(1, 40)),
        st.tuples(st.just("leave"), st.integers(0, 5)),
        st.tuples(st.just("change")),
        st.tuples(st.just("cut"), st.integers(0, size)),
        st.tuples(st.just("purge"), st.booleans()),
        st.tuples(st.just("sleep"), st.integers(1, 70)),
    )


SIZES = st.sampled_from([SMALL, LARGE])


@given(st.data(), SIZES, st.booleans())
@settings(deadline=None)
def test_no_answer_mixes_versions(data: st.DataObject, size: int, knows_conditions: bool) -> None:
    async def story() -> None:
        play = Play(size, knows_conditions)
        for name, *arguments in data.draw(st.lists(steps(size), max_size=14)):
            await getattr(play, str(name))(*arguments)
        await play.end()

    asyncio.run(story())


@given(SIZES.flatmap(lambda size: st.tuples(st.just(size), st.lists(asked(size), max_size=6), asked(size))))
@settings(deadline=None)
def test_whatever_is_stored_a_range_gets_the_bytes_of_the_whole(
    case: tuple[int, list[str | None], str | None],
) -> None:
    size, before, last = case

    async def story() -> None:
        play = Play(size, knows_conditions=True)
        for each in (*before, last):
            await play.ask(each)
            reading = play.readings[-1]
            while not reading.over:
                await reading.read(1000)
            assert not reading.cut and reading.answer.status in (200, 206)
        await play.end()

    asyncio.run(story())
