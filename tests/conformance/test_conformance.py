"""Cases written from the RFCs as data, played over real sockets: visitor, edge, origin.

A case is a dialogue on a path of its own. Each ask says what the visitor sends, what the origin would answer
(`then`: what it answers when asked again), and what is expected: `from` the store (the origin hears nothing)
or the origin, the visitor's `status`, `body`, `fields` (`*` any, `>=N` a number), `contains`, `lacks`,
`without`; and what the origin was `sent` or `not_sent`. A number as a field's value is a date, in seconds
from now. `*N` as a body is N letters.
"""

from __future__ import annotations

import asyncio
import time
import tomllib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvloop

from edge.http.dates import format_date
from tests.edge.nodes import Edge, node
from tests.edge.wires import Heard, Origin, Reply, origin

CASES: list[dict[str, Any]] = [
    case
    for path in sorted((Path(__file__).parent / "cases").glob("*.toml"))
    for case in tomllib.loads(path.read_text())["case"]
]

# Sections with a MUST or SHOULD for caches. One without a case is listed below, so that a gap is a decision.
SECTIONS = {
    "RFC 9111": "1.2.2 2 3 3.1 3.2 3.3 3.4 3.5 "
    "4 4.1 4.2 4.2.1 4.2.2 4.2.3 4.2.4 4.3.1 4.3.2 4.3.3 4.3.4 4.3.5 4.4 "
    "5.1 5.2 5.2.1 5.2.1.2 5.2.1.5 5.2.1.6 5.2.1.7 "
    "5.2.2.1 5.2.2.2 5.2.2.3 5.2.2.4 5.2.2.5 5.2.2.6 5.2.2.7 5.2.2.8 5.2.2.9 5.2.2.10 "
    "5.3 5.4 5.5 7.3",
    "RFC 5861": "3 4",
    "RFC 9213": "2.1 2.2 3",
    "RFC 9211": "2.1 2.2 2.3 2.4 2.5 2.6 2.7 2.8",
    "RFC 9875": "2 3",
}
UNCOVERED = {
    "RFC 9111 §3.2",  # with §4.3.4
    "RFC 9211 §2.6",  # collapsed needs two visitors at once: tests/edge/upstream/test_collapse.py
    "RFC 9875 §2",  # cache groups are not read
    "RFC 9875 §3",
}


def pytest_asyncio_loop_factories(config: object, item: object) -> dict[str, Any]:
    return {"uvloop": uvloop.new_event_loop}


@dataclass
class Scripts:
    """What the origin will answer on each path, in order, and what it heard there."""

    answers: dict[str, list[Any]] = field(default_factory=dict)
    heard: dict[str, list[Heard]] = field(default_factory=dict)

    async def __call__(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        path = heard.target.partition("?")[0]
        self.heard.setdefault(path, []).append(heard)
        waiting = self.answers.get(path, [])
        said = waiting.pop(0) if len(waiting) > 1 else waiting[0] if waiting else None
        if said is None or said == "disconnect":
            writer.transport.abort()
            return
        status, body = said.get("status", 200), body_of(said.get("body", "body"))
        lines = [f"{name}: {value_of(value)}" for name, value in said.get("fields", {}).items()]
        bodiless = heard.method == "HEAD" or status in (204, 304)
        if status not in (204, 304):
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join([f"HTTP/1.1 {status} Said", *lines, "", ""])
        writer.write(head.encode("latin-1") + (b"" if bodiless else body))


def value_of(value: str | int) -> str:
    return format_date(int(time.time()) + value) if isinstance(value, int) else value


def body_of(said: str) -> bytes:
    return b"x" * int(said[1:]) if said.startswith("*") else said.encode()


@dataclass
class Stage:
    edge: Edge
    origin: Origin
    scripts: Scripts


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    scripts = Scripts()
    async with origin(scripts) as behind, node(behind.url) as edge:
        yield Stage(edge, behind, scripts)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
@pytest.mark.asyncio(loop_scope="module")
async def test_the_edge_keeps_to_the_rfc(case: dict[str, Any], stage: Stage) -> None:
    path = f"/{case['id']}"
    for number, ask in enumerate(case["asks"], 1):
        where = f"{case['section']}, ask {number}"
        heard = stage.scripts.heard.setdefault(path, [])
        before = len(heard)
        stage.scripts.answers[path] = [
            said for said in (ask.get("answer"), ask.get("then")) if said is not None
        ]
        reply = await send(stage.edge, path, ask)
        if "settle" in ask:
            async with asyncio.timeout(5):
                while len(heard) < before + ask["settle"]:
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
        check(where, ask, reply, heard[before:])


async def send(edge: Edge, path: str, ask: dict[str, Any]) -> Reply:
    target = f"{path}?{ask['query']}" if "query" in ask else path
    method = ask.get("method", "GET")
    fields = {name: value_of(value) for name, value in ask.get("fields", {}).items()}
    async with edge.visit() as visit:
        visit.say(method, target, ask.get("body", "").encode(), **fields)
        return await visit.hear(head_only=method == "HEAD")


def check(where: str, ask: dict[str, Any], reply: Reply, heard: list[Heard]) -> None:
    expect = ask["expect"]
    if "from" in expect:
        asked = expect.get("asked", 1) if expect["from"] == "origin" else 0
        times = (
            min(len(heard), 1) if ask.get("answer") == "disconnect" else len(heard)
        )  # it may be tried again
        assert times == asked, f"{where}: the origin was asked {len(heard)} times; {reply}"
    assert reply.status == expect.get("status", reply.status), f"{where}: {reply}"
    if "body" in expect:
        assert reply.body == body_of(expect["body"]), where
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
    for name, value in expect.get("sent", {}).items():
        assert heard and heard[0].fields.get(name) == value, f"{where}: the origin was sent {heard}"
    for name in expect.get("not_sent", ()):
        assert heard and name not in heard[0].fields, f"{where}: the origin was sent {heard}"


def test_every_section_has_a_case_or_is_known_to_have_none() -> None:
    covered = {case["section"] for case in CASES}
    wanted = {f"{rfc} §{section}" for rfc, sections in SECTIONS.items() for section in sections.split()}
    assert wanted - covered == UNCOVERED
    assert {section for section in covered if section.startswith(tuple(SECTIONS))} <= wanted


def test_every_case_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(case["id"] for case in CASES).items() if count > 1] == []
