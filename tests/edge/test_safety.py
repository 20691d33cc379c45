"""No sequence of requests and answers makes one visitor's answer visible to another."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.http.message import Answer, Fields, Request
from edge.policy.rules import SiteRules
from edge.position import ALONE
from edge.purge import Purge
from edge.upstream.contract import UpstreamError
from tests.edge.stage import Reply, Stage, answer, make_request

VISITORS = ("ani", "budi", "citra")
# What an origin may say of an answer that is for one visitor alone.
PERSONAL = (
    "private",
    "private, max-age=60",
    "no-store",
    "no-store, max-age=60",
    "max-age=60 with Set-Cookie",
)
PUBLIC = (
    "max-age=60",
    "s-maxage=5, stale-while-revalidate=30",
    "max-age=1, stale-if-error=60",
    "no-cache",
    "",
)


@dataclass(frozen=True)
class Ask:
    visitors: tuple[str, ...]  # all at once
    path: str
    says: str
    method: str = "GET"
    authorized: bool = False
    etag: bool = False
    fails: bool = False


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Forget:
    soft: bool


RARELY = st.integers(0, 7).map(lambda roll: roll == 7)
ASKS = st.builds(
    Ask,
    st.sampled_from([("ani",), ("budi",), ("ani", "budi", "citra")]),
    st.just("/"),
    st.sampled_from(PERSONAL + PUBLIC),
    st.sampled_from(["GET"] * 6 + ["HEAD", "POST"]),
    authorized=st.booleans(),
    etag=RARELY,
    fails=RARELY,
)
STEPS = st.lists(
    st.one_of(
        *[ASKS] * 6, st.builds(Wait, st.sampled_from([0.5, 2.0, 61.0])), st.builds(Forget, st.booleans())
    ),
    min_size=2,
    max_size=12,
)


def speak(ask: Ask, request: Request, serial: int) -> Answer:
    """An answer that bears the visitor's name if it is personal."""
    if ask.fails:
        raise UpstreamError("timeout", "origin-1", "slow", sent=False)
    if ask.etag and "if-none-match" in request.fields:
        return Answer(304, Fields([("ETag", request.fields.get("if-none-match") or "")]))
    personal = ask.says in PERSONAL or (ask.authorized and "s-maxage" not in ask.says)
    visitor = request.fields.get("cookie") or ""
    body = f"for {visitor} only" if personal else f"for all {serial}"
    words = {"cache_control": ask.says.partition(" with ")[0]} | ({"etag": f'"{serial}"'} if ask.etag else {})
    if "Set-Cookie" in ask.says:
        words["set_cookie"] = visitor
    return answer(body=body.encode(), **words)


async def play(steps: list[Ask | Wait | Forget]) -> None:
    stage = Stage(lambda request: answer(), SiteRules("shop", stale_while_revalidate=20, stale_if_error=20))
    for step in steps:
        match step:
            case Wait(seconds):
                stage.sleep(seconds)
            case Forget(soft):
                await stage.pipeline.purge(Purge("site", "shop", soft), ALONE)
            case Ask():
                await ask_together(stage, step)


async def ask_together(stage: Stage, step: Ask) -> None:
    stage.origin.script = lambda request: speak(step, request, stage.fetches)
    requests = [
        make_request(
            step.path,
            [("Cookie", visitor), *([("Authorization", visitor)] if step.authorized else [])],
            method=step.method,
        )
        for visitor in step.visitors
    ]
    answers = await asyncio.gather(*map(stage.pipeline.handle, requests))
    for visitor, reply in zip(step.visitors, [await Reply.of(answered) for answered in answers], strict=True):
        names = {name for name in VISITORS if name.encode() in reply.body} | set(
            reply.answer.fields.all("set-cookie")
        )
        assert names <= {visitor}, f"{visitor} got {reply.body!r} as {reply.answer.outcome}"
    await stage.settle()


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_nobody_ever_sees_what_was_said_to_another(steps: list[Ask | Wait | Forget]) -> None:
    asyncio.run(play(steps))
