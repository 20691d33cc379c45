"""A stage for the pipeline: the real pipeline, store and compressor, an origin by script, a clock by hand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from edge.http.dates import format_date
from edge.http.message import Answer, Fields, Line, Request
from edge.pipeline import Pipeline
from edge.policy.rules import SiteRules
from edge.position import ALONE, Position
from edge.store.layered import LayeredStore
from edge.store.memory import MemoryStore
from edge.transform.compress import Compressor
from edge.upstream.contract import Standing
from edge.upstream.peers import Peers

T0 = 1_800_000_000.0

Script = Callable[[Request], Answer]


@dataclass
class HandClock:
    """Time that passes only when told to."""

    at: float = 0.0

    def wall(self) -> float:
        return T0 + self.at

    def monotonic(self) -> float:
        return self.at


@dataclass
class Origin:
    """Answers by `script`; remembers what it was asked. `gate`, where set, holds every answer back."""

    script: Script
    asked: list[Request] = field(default_factory=list)
    gate: asyncio.Event | None = None

    def standing(self, site: str, path: str) -> tuple[Standing, ...]:
        return ()

    async def fetch(self, site: str, request: Request) -> Answer:
        self.asked.append(request)
        if self.gate is not None:
            await self.gate.wait()
        return self.script(request)


class Stage:
    """Everything wired. `rules` and `script` may be changed while it runs."""

    def __init__(
        self,
        script: Script,
        rules: SiteRules | None = None,
        *,
        budget: int = 16 * 2**20,
        max_object: int = 2**20,
        clock: HandClock | None = None,
        origin: Origin | None = None,
        peers: Peers | None = None,
        layered: LayeredStore | None = None,
    ) -> None:
        """`layered` takes the place of `store`, which is its front then."""
        self.clock = clock or HandClock()
        self.origin = origin or Origin(script)
        self.rules = rules or SiteRules("shop", commerce_prefix="/commerce")
        self.store = MemoryStore(budget, max_object) if layered is None else layered.front
        self.tasks: set[asyncio.Task[None]] = set()
        self.position: Position = ALONE
        self.pipeline = Pipeline(
            sites=lambda host: self.rules if host.endswith("shop.test") else None,
            store=layered or self.store,
            upstream=self.origin,
            clock=self.clock,
            compress=Compressor(),
            on_background=self.spawn,
            position=lambda: self.position,
            random=random.Random(7).randbytes,
            peers=peers,
        )

    def spawn(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def settle(self) -> None:
        """Wait until nothing happens in the background."""
        while self.tasks:
            await asyncio.gather(*self.tasks, return_exceptions=True)

    def sleep(self, seconds: float) -> None:
        self.clock.at += seconds

    async def ask(
        self,
        target: str = "/p/1",
        fields: Iterable[Line] | dict[str, str] = (),
        *,
        method: str = "GET",
        body: bytes | None = None,
        **more: Any,
    ) -> Reply:
        """Send a request, read the whole answer, and let the background come to rest."""
        request = make_request(target, fields, method=method, body=body, **more)
        reply = await Reply.of(await self.pipeline.handle(request))
        await self.settle()
        return reply

    @property
    def fetches(self) -> int:
        return len(self.origin.asked)


@dataclass
class Reply:
    """An answer, read to its end."""

    answer: Answer
    body: bytes

    @classmethod
    async def of(cls, answer: Answer) -> Reply:
        if isinstance(answer.body, bytes):
            return cls(answer, answer.body)
        return cls(answer, b"".join([chunk async for chunk in answer.body]))

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def verdict(self) -> str:
        return self.answer.outcome.verdict

    @property
    def reason(self) -> str | None:
        return self.answer.outcome.reason

    def __getitem__(self, name: str) -> str | None:
        return self.answer.fields.get(name)


def make_request(
    target: str = "/p/1", fields: Iterable[Line] | dict[str, str] = (), *, method: str = "GET", **more: Any
) -> Request:
    path, mark, query = target.partition("?")
    lines = fields.items() if isinstance(fields, dict) else fields
    scheme, host = more.pop("scheme", "http"), more.pop("host", "shop.test")
    return Request(
        method, scheme, host, path, query if mark else None, Fields(lines), id=more.pop("id", "r-1"), **more
    )


def answer(status: int = 200, body: bytes | list[bytes] = b"body", **fields: str) -> Answer:
    """An origin's answer; `cache_control="..."` becomes Cache-Control. A list is streamed."""
    lines = [(name.replace("_", "-"), value) for name, value in fields.items()]
    if isinstance(body, bytes):
        lines.append(("Content-Length", str(len(body))))
        return Answer(status, Fields(lines), pieces([body]) if body else b"")
    return Answer(status, Fields(lines), pieces(body))


async def pieces(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


def dated(clock: HandClock, reply: Answer, offset: int = 0) -> Answer:
    """`reply` with a Date of now."""
    return replace(reply, fields=reply.fields.plus(("Date", format_date(int(clock.wall()) + offset))))


def confirming(request: Request) -> Answer:
    """An origin that knows its page by a tag, and confirms it with a 304."""
    if request.fields.get("if-none-match") == '"v1"':
        return Answer(304, Fields([("Etag", '"v1"'), ("Cache-Control", "max-age=60"), ("X-New", "yes")]))
    return answer(etag='"v1"', cache_control="max-age=60", x_old="yes")
