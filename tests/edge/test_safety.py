"""No sequence of requests and answers makes one visitor's answer visible to another, or a purged one to any.

An origin answers at random: for one visitor alone, which it says in one of the ways that HTTP has for it, or
for all. Visitors come one by one or at once, with and without credentials, cookies and conditions; time
passes, purges come in between and in the middle. Each answer tells for whom and for what it was made, and
when; what a visitor gets is held against that.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.http.dates import format_date
from edge.http.message import Answer, Fields, Request
from edge.policy.patterns import Patterns
from edge.policy.rules import ClassRules, FileRule, KeyRules, QueryRules, SiteRules
from edge.position import ALONE
from edge.purge import Purge
from edge.upstream.contract import UpstreamError
from tests.edge.stage import T0, Reply, Stage, answer, make_request, pieces

VISITORS = ("ani", "budi", "citra", "dewi")


@dataclass(frozen=True)
class Says:
    """What an origin says of an answer. `of` is the request field by whose bearer it differs, if it does.

    `secret`: only the field X-Secret does. `lifetime`: seconds that it may be used unasked.
    """

    fields: tuple[tuple[str, str], ...]
    of: str | None = None
    secret: bool = False
    lifetime: float = 0
    status: int = 200
    only_if: str | None = None  # a field without which the request gets the same as everybody

    def __str__(self) -> str:
        said = "; ".join(f"{name}: {value}" for name, value in self.fields) or "nothing"
        return f"{said} by {self.of}" if self.of else said


def cc(words: str, **more: object) -> Says:
    return Says((("Cache-Control", words),), **more)  # type: ignore[arg-type]


OLD = ("Last-Modified", format_date(int(T0) - 10**7))
WAYS = (
    # for one alone
    cc("private, max-age=60", of="cookie"),
    cc("no-store, max-age=60", of="cookie"),
    cc("no-store", of="cookie"),
    cc("no-cache, max-age=60", of="cookie"),
    cc("max-age=0, must-revalidate", of="cookie"),
    cc("max-age=0, proxy-revalidate, stale-while-revalidate=90", of="cookie"),
    cc("s-maxage=0, max-age=60", of="cookie"),
    cc("max-age=60, must-understand", of="cookie", status=599),
    cc("max-age=60, private, public", of="cookie"),
    Says((("Cache-Control", "max-age=60"), ("Vary", "*")), of="cookie"),
    Says((("Cache-Control", "max-age=60"), ("Vary", "Accept"), ("Vary", "a, *")), of="cookie"),
    Says((("Cache-Control", "public, max-age=60"), ("CDN-Cache-Control", "private")), of="cookie"),
    Says((("CDN-Cache-Control", "max-age=60"), ("Tepi-Cache-Control", "no-store")), of="cookie"),
    Says((("Cache-Control", "max-age=60"), ("Set-Cookie", "{who}")), of="cookie"),
    Says((OLD,), of="cookie", only_if="cookie", lifetime=86_400),
    cc("max-age=60", of="authorization", only_if="authorization", lifetime=60),
    cc("no-cache, public", of="authorization", only_if="authorization"),
    # differing by a field that Vary names
    Says((("Cache-Control", "max-age=60"), ("Vary", "Cookie")), of="cookie", lifetime=60),
    Says((("Cache-Control", "max-age=9"), ("Vary", "Accept"), ("Vary", "X-Who")), of="x-who", lifetime=9),
    # with one field that is for one alone
    cc('max-age=60, no-cache="x-secret"', secret=True, lifetime=60),
    cc('max-age=5, stale-while-revalidate=60, private="X-Secret, foo"', secret=True, lifetime=5),
    # for all
    cc("max-age=60", lifetime=60),
    cc("public, max-age=2", lifetime=2),
    cc("s-maxage=5, stale-while-revalidate=30", lifetime=5),
    cc("max-age=1, stale-if-error=60", lifetime=1),
    cc("no-cache"),
    Says(()),
)


@dataclass(frozen=True)
class Ask:
    """Visitors asking for one target at once; `way` numbers what the scene's origin says.

    `bearing` are the request fields with the visitor's name in them; `twist` is what else is special.
    `purged`: a purge comes before the answer's "head", or in its "body", and one more visitor after it.
    """

    visitors: tuple[str, ...] = ("ani",)
    way: int = 0
    target: str = "/p"
    method: str = "GET"
    bearing: tuple[str, ...] = ("cookie",)
    twist: str | None = None
    purged: str | None = None


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Forget:
    purge: Purge


@dataclass(frozen=True)
class Distrust:
    """The node lost touch with purges."""


Step = Ask | Wait | Forget | Distrust
PAGES = ("/p",) * 12 + ("/p?a=1", "/p?a=2&utm_source=x", "/p.css")
TOGETHER = (("ani",), ("budi",), ("citra",), VISITORS[:3], ("budi", "ani", "budi"))
METHODS = ("GET",) * 18 + ("HEAD", "HEAD", "POST", "PUT")
BEARING = (("cookie",),) * 5 + (("cookie", "x-who"), ("cookie", "authorization"), ())
# What may be special about an ask: the origin confirms or fails, a part is wanted, the visitor wishes
# something of caches.
WISHES = ("no-store", "no-cache", "max-stale", "only-if-cached", "stale-if-error=60")
TWISTS = (None,) * 14 + ("etag",) * 7 + ("fails",) * 4 + ("part", *WISHES)
WAITS = (0.5, 2.0, 4.9, 5.0, 61.0)
PURGES = (
    Purge("site", "shop"),
    Purge("tag", "all"),
    Purge("url", "http://shop.test/p"),
    Purge("site", "shop", True),
)
STEPS, SIZE = 16, 7


def scene(drawn: bytes) -> tuple[Step, ...]:
    """Steps as weighted draws: left to itself Hypothesis draws them so short and plain that little meets."""
    return tuple(
        step for at in range(0, len(drawn), SIZE) if (step := _step(*drawn[at : at + SIZE])) is not None
    )


def _step(kind: int, who: int, way: int, page: int, method: int, bearing: int, twist: int) -> Step | None:
    match kind:
        case 0:
            return None
        case _ if kind < 26:
            return Wait(WAITS[who % len(WAITS)])
        case _ if kind < 36:
            return Forget(PURGES[who % len(PURGES)])
        case _ if kind < 40:
            return Distrust()
    return Ask(
        TOGETHER[who % len(TOGETHER)],
        way % 2,
        PAGES[page % len(PAGES)],
        METHODS[method % len(METHODS)],
        BEARING[bearing % len(BEARING)],
        TWISTS[twist % len(TWISTS)],
        purged=None if page < 220 else "head" if page < 240 else "body",
    )


SCENES = st.binary(min_size=STEPS * SIZE, max_size=STEPS * SIZE).map(scene)
RULES = st.sampled_from(
    [
        SiteRules("shop", stale_while_revalidate=20, stale_if_error=20),
        SiteRules("shop", obey_reload=True, stale_if_unreachable=600),
        SiteRules(
            "shop",
            key=KeyRules(query=QueryRules(drop=Patterns(("utm_*",)))),
            classes=ClassRules(files=(FileRule(Patterns(("*.css",)), Patterns(("text/css",)), 60),)),
        ),
        SiteRules("shop", key=KeyRules(fields=("x-who",))),
    ]
)


def who(request: Request, name: str) -> str:
    return (request.fields.get(name) or "").strip()


@dataclass
class Shop:
    """An origin whose answers tell for whom and for what they were made, and when they were asked for.

    `made` holds what each entity tag's answer was. `outdated` is, per resource, the number of the last
    request to it whose answer nobody may see any more.
    """

    stage: Stage
    says: Says = WAYS[0]
    etag: bool = False
    fails: bool = False
    headed: bool = False  # a HEAD has mixed what one way says into what another said
    made: dict[str, tuple[Says, str, str]] = field(default_factory=dict)
    outdated: dict[str, int] = field(default_factory=dict)

    def __call__(self, request: Request) -> Answer:
        if self.fails:
            raise UpstreamError("timeout", "origin-1", "slow", sent=False)
        says, number = (
            self.says,
            1 + next(at for at, asked in enumerate(self.stage.origin.asked) if asked is request),
        )
        self.headed = self.headed or request.method == "HEAD"
        named = says.of is not None and (says.only_if is None or says.only_if in request.fields)
        name = who(request, says.of) if named and says.of else ""
        if "no-store" in (request.fields.get("cache-control") or ""):
            name = who(request, "cookie")  # for what is not to be stored an origin need say nothing
        target = f"{request.scheme} {request.target.partition('&')[0]}"
        asked_about = request.fields.get("if-none-match") or ""
        lines = [(key, value.format(who=who(request, "cookie"))) for key, value in says.fields]
        lines += [("Cache-Tag", "all"), ("Content-Type", "text/html"), ("Date", self._date())]
        lines.append(("X-Lifetime", str(says.lifetime)))
        if says.secret:
            lines.append(("X-Secret", f"for <{who(request, 'cookie') or who(request, 'x-who')}>"))
        if self.etag and self.made.get(asked_about) == (says, name, target):
            return Answer(304, Fields([*lines, ("ETag", asked_about)]))
        if self.etag:
            lines.append(("ETag", f'"{number}"'))
            self.made[f'"{number}"'] = (says, name, target)
        text = f"[{number}] {target}: for <{name}>".encode()
        told = answer(says.status, text)
        body = (
            told.body
            if isinstance(told.body, bytes)
            else pieces([text[at : at + 9] for at in range(0, len(text), 9)])
        )
        return told.but(fields=Fields([*lines, *told.fields.lines]), body=body)

    def _date(self) -> str:
        return format_date(int(self.stage.clock.wall()))


async def play(rules: SiteRules, ways: tuple[Says, Says], steps: tuple[Step, ...]) -> None:
    stage = Stage(lambda request: answer(), rules)
    shop = Shop(stage)
    stage.origin.script = shop
    for step in steps:
        match step:
            case Wait(seconds):
                stage.sleep(seconds)
            case Forget(purge):
                await forget(shop, purge)
            case Distrust():
                await stage.pipeline.distrust()
            case Ask():
                shop.says = ways[step.way]
                await ask_together(shop, step)
                await stage.settle()


async def forget(shop: Shop, purge: Purge) -> None:
    await shop.stage.pipeline.purge(purge, ALONE)
    if not purge.soft:
        shop.outdated["/p" if purge.kind == "url" else "*"] = shop.stage.fetches


async def ask_together(shop: Shop, step: Ask) -> None:
    stage, shop.etag, shop.fails = shop.stage, step.twist == "etag", step.twist == "fails"
    before = dict(shop.outdated)
    stage.origin.gate = asyncio.Event()
    requests = [request_of(step, visitor) for visitor in step.visitors]
    asking = [asyncio.ensure_future(stage.pipeline.handle(request)) for request in requests]
    for _ in range(5):
        await asyncio.sleep(0)
    late = [(request_of(step, "dewi"), "dewi")] if step.purged else []
    if step.purged == "body":
        stage.origin.gate.set()
        for _ in range(3):
            await asyncio.sleep(0)
    if step.purged:
        await forget(shop, Purge("site", "shop"))
    after = dict(shop.outdated)
    asking += [asyncio.ensure_future(stage.pipeline.handle(request)) for request, _ in late]
    await asyncio.sleep(0)
    stage.origin.gate.set()
    replies = [await Reply.of(each) for each in await asyncio.gather(*asking)]
    asked = [*zip(requests, step.visitors, strict=True), *late]
    for number, ((request, visitor), reply) in enumerate(zip(asked, replies, strict=True)):
        check(step, request, visitor, reply, before if number < len(requests) else after)
        if reply.verdict == "hit" and reply.status == 200 and not shop.headed:
            assert int(reply["age"] or 0) < float(reply["x-lifetime"] or 0), (step, reply)
    if step.method in ("POST", "PUT") and any(200 <= reply.status < 400 for reply in replies):
        shop.outdated[step.target.partition("&")[0]] = stage.fetches


def request_of(step: Ask, visitor: str) -> Request:
    lines = [(name, visitor) for name in step.bearing]
    if step.twist == "part":
        lines.append(("Range", "bytes=0-70"))
    elif step.twist in WISHES:
        lines.append(("Cache-Control", step.twist or ""))
    return make_request(step.target, lines, method=step.method)


def check(step: Ask, request: Request, visitor: str, reply: Reply, outdated: dict[str, int]) -> None:
    """Whether `reply` is what `visitor` may get for `request`, purges up to `outdated` obeyed."""
    told = f"{visitor} got {reply.body!r}, {reply.answer.fields}, as {reply.answer.outcome}"
    seen = reply.body.decode() + "\n".join(value for _, value in reply.answer.fields.lines)
    assert {name for name in VISITORS if name in seen} <= {visitor}, told
    status = reply["cache-status"] or ""
    assert not ("; hit" in status and "; fwd" in status), told
    assert int(reply["age"] or 0) >= 0, told
    made = re.match(r"\[(\d+)\] (\w+) (\S+): ", reply.body.decode())
    if made is None:
        return
    number, scheme, target = made.groups()
    resource = step.target.partition("&")[0]
    assert (scheme, target) == (request.scheme, resource), told
    assert int(number) > max(outdated.get("*", 0), outdated.get(resource, 0)), told


@pytest.mark.parametrize("way", WAYS, ids=str)
@given(RULES, st.sampled_from(WAYS), SCENES)
@settings(max_examples=settings.default.max_examples * 6 // 10)
def test_nobody_ever_sees_what_was_said_to_another(
    way: Says, rules: SiteRules, other: Says, steps: tuple[Step, ...]
) -> None:
    asyncio.run(play(rules, (way, other), steps))


@pytest.mark.parametrize("body", [b"for <ani>", [b"for ", b"<ani>"]], ids=["at-once", "in-pieces"])
@pytest.mark.parametrize("words", ["no-store", "private", "no-store, max-age=60"])
async def test_nothing_is_left_in_the_store_of_what_was_not_to_be_kept(
    words: str, body: bytes | list[bytes]
) -> None:
    stage = Stage(lambda request: answer(body=body, cache_control=words, etag='"1"'))
    assert (await stage.ask()).body == b"for <ani>"
    await stage.ask(fields={"Cache-Control": "no-store"})
    assert (len(stage.store), stage.store.size, stage.store.reserved) == (0, 0, 0)
