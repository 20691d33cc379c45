"""Plays cases over real sockets: visitors, a node, and an origin that answers by script.

A case is a dialogue on a path of its own. Each of its `asks` says what a visitor sends (`method`, `site`,
`query`, `fields`, `body`), what the origin would answer (`answer`, and `then` when it is asked again), and
what is expected. A number as a field's value is a date in seconds from now, a list is one line a value, `*N`
as a body is N letters.

An answer has `status`, `fields`, `body`; `interim` answers before it; `chunked` with `trailers`; `cut` after
so many bytes of its body; `held` until the visitor has been answered. "disconnect" is none at all. Those who
ask `together` are all on their way before the origin answers any of them.

Expected is the answer `from` the store (the origin hears nothing) or the origin (`asked` times); its
`status`, `body` and `fields` (`*` any, `>=N` a number), what a field `contains`, `lacks`, and which there are
not (`without`); the `interim` answers before it; that it is `broken` off; and what the origin was `sent` in
its last request, or `not_sent`, and by which `method`. `settle` waits until the origin was asked so often.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from edge.http.dates import format_date
from tests.edge.nodes import HOST, Edge, Visit
from tests.edge.wires import Heard, Reply, eventually

# Sites beside the plain one, by the name that a case gives.
SITES: dict[str, dict[str, Any]] = {"obedient": {"cache": {"obey_reload": True}}}

Case = dict[str, Any]


def sites(origin: str) -> list[dict[str, Any]]:
    """The sites of the node under test, all in front of one origin."""
    behind = {"origins": [{"url": origin}]}
    others = [{"name": name, "hosts": [f"{name}.test"], **behind, **more} for name, more in SITES.items()]
    return [{"name": "shop", "hosts": ["*"], **behind}, *others]


@dataclass
class Scripts:
    """What the origin will answer on each path, in order, and what it heard there."""

    answers: dict[str, list[Any]] = field(default_factory=dict)
    heard: dict[str, list[Heard]] = field(default_factory=dict)
    may_answer: Callable[[], bool] = lambda: True
    replied: bool = False

    async def __call__(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        path = heard.target.partition("?")[0]
        self.heard.setdefault(path, []).append(heard)
        waiting = self.answers.get(path, [])
        said = waiting.pop(0) if len(waiting) > 1 else waiting[0] if waiting else None
        await eventually(self.may_answer)
        if said is None or said == "disconnect":
            writer.transport.abort()
            return
        if said.get("held"):
            await eventually(lambda: self.replied)
        for early in said.get("interim", ()):
            writer.write(_head(early["status"], _lines(early.get("fields", {}))))
        writer.write(_answered(said, heard.method))
        if "cut" in said:
            await writer.drain()
            writer.close()


def _answered(said: Case, method: str) -> bytes:
    """The whole answer that `said` describes, or as much as is sent of it."""
    status, body, lines = said.get("status", 200), body_of(said.get("body", "body")), _lines(said["fields"])
    bodiless = method == "HEAD" or status in (204, 304)
    if said.get("chunked"):
        lines.append("Transfer-Encoding: chunked")
        trailers = "".join(f"{line}\r\n" for line in _lines(said.get("trailers", {})))
        body = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers.encode("latin-1"))
    elif status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    return _head(status, lines) + (b"" if bodiless else body[: said.get("cut")])


def _head(status: int, lines: list[str]) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Said", *lines, "", ""]).encode("latin-1")


def _lines(fields: dict[str, Any]) -> list[str]:
    return [f"{name}: {value}" for name, value in _pairs(fields)]


def _pairs(fields: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, said in fields.items():
        for value in said if isinstance(said, list) else [said]:
            yield name, format_date(int(time.time()) + value) if isinstance(value, int) else value


def body_of(said: str) -> bytes:
    """The body that a case writes so."""
    return b"x" * int(said[1:]) if said.startswith("*") else said.encode()


@dataclass(slots=True)
class _Gathered:
    """Whether all visitors have been on their way at once."""

    edge: Edge
    visitors: int
    seen: bool = False

    def __call__(self) -> bool:
        self.seen = self.seen or self.edge.running.front.under_way >= self.visitors
        return self.seen


@dataclass(frozen=True, slots=True)
class _Length:
    """Whether the origin has been asked so often."""

    heard: list[Heard]
    times: int

    def __call__(self) -> bool:
        return len(self.heard) >= self.times


@dataclass(slots=True)
class Got:
    """What a visitor got: the final answer (None where the connection broke off), and what came before."""

    reply: Reply | None
    interim: list[int]


@dataclass
class Stage:
    """A node at rest, and the origin's script behind it."""

    edge: Edge
    scripts: Scripts

    def __post_init__(self) -> None:
        self._at_rest = len(self.edge.running.tasks.running)

    async def play(self, case: Case) -> None:
        """All of `case`. Raises AssertionError where something else comes than is expected."""
        path = f"/{case['id']}"
        heard = self.scripts.heard.setdefault(path, [])
        for number, ask in enumerate(case["asks"], 1):
            before = len(heard)
            said = [ask[key] for key in ("answer", "then") if key in ask]
            self.scripts.answers[path] = [
                one if isinstance(one, str) else {"fields": {}, **one} for one in said
            ]
            visitors = ask.get("together", [ask])
            held = any(one.get("held") for one in self.scripts.answers[path] if isinstance(one, dict))
            gather = "together" in ask and not held
            self.scripts.may_answer = _Gathered(self.edge, len(visitors) if gather else 0)
            self.scripts.replied = False
            replies = await asyncio.gather(*(self._send(path, each) for each in visitors))
            self.scripts.replied = True
            if "settle" in ask:
                await eventually(_Length(heard, before + ask["settle"]))
            await eventually(self._rests)
            where = f"{case['section']}, ask {number}"
            _check_origin(where, ask, heard[before:])
            for each, got in zip(visitors, replies, strict=True):
                _check_reply(where, each["expect"], got)

    def _rests(self) -> bool:
        """Whether nothing happens behind the visitors' backs."""
        running = self.edge.running
        return running.front.under_way == 0 and len(running.tasks.running) <= self._at_rest

    async def _send(self, path: str, ask: Case) -> Got:
        target = f"{path}?{ask['query']}" if "query" in ask else path
        method, body = ask.get("method", "GET"), ask.get("body", "").encode()
        lines = [f"Host: {ask['site']}.test" if "site" in ask else f"Host: {HOST}"]
        lines += _lines(ask.get("fields", {}))
        if body:
            lines.append(f"Content-Length: {len(body)}")
        async with self.edge.visit() as visit:
            head = "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""])
            visit.writer.write(head.encode("latin-1") + body)
            return await _hear(visit, head_only=method == "HEAD")


async def _hear(visit: Visit, *, head_only: bool) -> Got:
    interim: list[int] = []
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            reply = await visit.hear(head_only=head_only)
            if reply.status >= 200:
                return Got(reply, interim)
            interim.append(reply.status)
    return Got(None, interim)


def _check_origin(where: str, ask: Case, heard: list[Heard]) -> None:
    expect = ask["expect"]
    if "from" in expect:
        asked = expect.get("asked", 1) if expect["from"] == "origin" else 0
        # Who is not answered may be asked again.
        times = min(len(heard), 1) if ask.get("answer") == "disconnect" else len(heard)
        assert times == asked, f"{where}: the origin was asked {len(heard)} times: {heard}"
    for name, value in expect.get("sent", {}).items():
        assert heard and heard[-1].fields.get(name) == value, f"{where}: the origin was sent {heard}"
    for name in expect.get("not_sent", ()):
        assert heard and name not in heard[-1].fields, f"{where}: the origin was sent {heard}"
    if "method" in expect:
        assert heard and heard[-1].method == expect["method"], f"{where}: the origin was sent {heard}"


def _check_reply(where: str, expect: Case, got: Got) -> None:
    reply = got.reply
    assert got.interim == expect.get("interim", got.interim), f"{where}: {got}"
    if expect.get("broken"):
        assert reply is None, f"{where}: {reply}"
        return
    assert reply is not None, f"{where}: the connection broke off"
    assert reply.status == expect.get("status", reply.status), f"{where}: {reply}"
    if "body" in expect:
        assert reply.body == body_of(expect["body"]), f"{where}: {reply}"
    for name, value in expect.get("fields", {}).items():
        found = reply.fields.get(name)
        if value.startswith(">="):
            assert found is not None and int(found) >= int(value[2:]), f"{where}: {name}: {found}"
        else:
            assert found is not None and value in (found, "*"), f"{where}: {name}: {found}"
    for name in expect.get("without", ()):
        assert name not in reply.fields, f"{where}: {name}: {reply.fields[name]}"
    for name, part in expect.get("contains", {}).items():
        assert part in reply.fields.get(name, ""), f"{where}: {name}: {reply.fields.get(name)}"
    for name, part in expect.get("lacks", {}).items():
        assert part not in reply.fields.get(name, ""), f"{where}: {name}: {reply.fields[name]}"
