"""No sequence of pages, cookies and forms shows one visitor what is another's, whatever the shop says.

The shop gives visitors cookies and tokens, names them on their pages, and calls those everybody's.
Each cookie's value and each token is new, so that whoever sees one that another has seen before has a leak.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field, replace
from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.http.cookies import MARKER, cookies
from edge.http.message import Answer, Fields, Request
from edge.policy.patterns import Patterns
from edge.policy.rules import ClassRules, PageRules, SiteRules, TokenRule
from edge.position import ALONE
from edge.purge import Purge
from tests.edge.stage import Reply, Stage, answer, make_request

VISITORS = ("ani", "budi", "citra")
RARELY = st.integers(0, 7).map(lambda roll: roll == 7)
SECRET = re.compile(r"\b(?:[0-9a-f]{24}|[0-9a-f]{32}|tepi[0-9a-f]{78})\b")
FORM = TokenRule("form", (r'name="_token" value="([0-9a-f]{24})"',), "session", "sid", fields=("x-token",))
DOUBLE = TokenRule("double", (r'name="double" value="([0-9a-f]{24})"',), "cookie", "double", length=24,
                   alphabet="0123456789abcdef")  # fmt: skip
ALL = Patterns(("*",))
SITES = tuple(
    SiteRules("shop", guard=True, stale_while_revalidate=20, classes=ClassRules(pages=pages))
    for pages in (
        None,
        PageRules(30, mark=True, tokens=(FORM, DOUBLE), despite_paths=ALL),
        PageRules(30, mark=True),
        PageRules(30, tokens=(FORM, DOUBLE), ignore_cookies=ALL),
    )
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """Visitors look at a page, all at once. The shop greets by name whom it knows, if it `greets`."""

    visitors: tuple[str, ...]
    path: str
    says: str = ""
    greets: bool = False
    token: str = ""
    kind: str = "text/html"  # or another media type, or "redirect"
    etag: bool = False
    method: str = "GET"
    part: bool = False


@dataclass(frozen=True)
class Wait:
    seconds: float


@dataclass(frozen=True)
class Forget:
    soft: bool


@dataclass(frozen=True)
class Send:
    """A visitor sends the form that he has seen last."""

    visitor: str


LOOKS = st.builds(
    Look,
    st.sampled_from([("ani",), ("budi",), ("ani", "budi", "citra"), ("ani", "citra")]),
    st.sampled_from(["/p/1", "/p/2", "/account"]),
    st.sampled_from(["", "max-age=5", "public, s-maxage=60", "no-store", "private", "no-cache"]),
    st.booleans(),
    st.sampled_from(["", "", "_token", "double", "csrf"]),
    st.sampled_from(["text/html"] * 5 + ["application/json", "redirect"]),
    RARELY,
    st.sampled_from(["GET"] * 7 + ["HEAD"]),
    RARELY,
)
DAY = st.lists(
    st.one_of(
        *[LOOKS] * 6,
        *[st.builds(Send, st.sampled_from(VISITORS))] * 2,
        st.builds(Wait, st.sampled_from([0.5, 31.0, 61.0, 90_000.0])),
        st.builds(Forget, st.booleans()),
    ),
    min_size=2,
    max_size=14,
)


@dataclass
class Town:
    """A shop whose every cookie and token is new, an edge, and visitors who remember what they have seen."""

    rules: SiteRules
    serial: int = 0
    seen: dict[str, str] = field(default_factory=dict)  # secret → the one visitor who has seen it
    jars: dict[str, dict[str, str]] = field(default_factory=lambda: {name: {} for name in VISITORS})
    forms: dict[str, str] = field(default_factory=dict)  # what each visitor's last form had in it
    tokens: dict[str, str] = field(default_factory=dict)  # token → the session that it belongs to

    def __post_init__(self) -> None:
        self.stage = Stage(lambda request: answer(), self.rules)

    def secret(self) -> str:
        self.serial += 1
        return sha256(str(self.serial).encode()).hexdigest()[:24]

    def shows(self, look: Look, request: Request) -> Answer:
        """The shop's answer. It knows a visitor by the cookie in which his name is.

        What is no page has no tokens; where nothing is asked for as nobody, it is everybody's if it says so.
        """
        if look.kind != "text/html":
            named = self.rules.classes.pages is not None or look.says in ("private", "no-store")
            look = replace(look, greets=look.greets and named, token="")
        borne = dict(cookies(request.fields))
        sid = borne.get("sid") or self.secret()
        lines = {} if look.kind == "redirect" else {"content_type": look.kind}
        if look.says:
            lines["cache_control"] = look.says
        if look.etag:
            lines["etag"] = f'"{look.path}{look.token}"'
            if request.fields.get("if-none-match") == lines["etag"]:
                return Answer(304, Fields([("Etag", lines["etag"]), ("X-Name", borne.get("name", ""))]))
        given = [("Set-Cookie", f"sid={sid}; Path=/")] if "sid" not in borne else []
        token = borne.get("double") or self.secret() if look.token == "double" else self.secret()
        if look.token == "double" and "double" not in borne:
            given.append(("Set-Cookie", f"double={token}; Path=/; Max-Age=60"))
        self.tokens[token] = sid
        greeting = f"<p>for {borne['name']} only</p>" if look.greets and "name" in borne else "<p>for all</p>"
        form = f'<input name="{look.token}" value="{token}">' if look.token else ""
        if look.kind == "redirect":
            lines["location"] = f"/of/{borne['name']}" if look.greets and "name" in borne else "/"
        page = f"<body class=x>{greeting}{form}".encode()
        if look.part and "range" in request.fields:
            made = answer(206, page[:20], content_range=f"bytes 0-19/{len(page)}", **lines)
        else:
            made = answer(301 if look.kind == "redirect" else 200, page, **lines)
        return replace(made, fields=made.fields.plus(*given))

    def takes(self, request: Request) -> Answer:
        """A form. Its token, if it is one of the shop's, must belong to the session that it came with."""
        borne = dict(cookies(request.fields))
        body = request.body if isinstance(request.body, bytes) else b""
        for token in re.findall(r"[0-9a-f]{24}", body.decode()):
            if token in self.tokens and f"double={token}" not in body.decode():
                assert self.tokens[token] == borne.get("sid"), "a token of another session was sent"
        return answer(303, b"", location="/")

    async def step(self, step: Look | Send | Wait | Forget) -> None:
        match step:
            case Wait(seconds):
                self.stage.sleep(seconds)
            case Forget(soft):
                await self.stage.pipeline.purge(Purge("site", "shop", soft), ALONE)
            case Look():
                self.stage.origin.script = lambda request: self.shows(step, request)
                part = {"Range": "bytes=0-19"} if step.part else {}
                await asyncio.gather(
                    *(self.asks(name, step.method, step.path, b"", **part) for name in step.visitors)
                )
            case Send(visitor):
                look = Look((visitor,), "/p/1", token="_token")
                self.stage.origin.script = lambda request: (
                    self.takes(request) if request.method == "POST" else self.shows(look, request)
                )
                await self.asks(visitor, "POST", "/p/1", self.forms.get(visitor, "").encode())
        await self.stage.settle()

    async def asks(self, visitor: str, method: str, path: str, body: bytes, **more: str) -> None:
        jar = {"name": visitor, **self.jars[visitor]}
        cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
        fields = {
            "Cookie": cookie,
            "Sec-Fetch-Site": "same-origin",
            "Referer": "http://shop.test/p/1",
            **more,
        }
        request = make_request(path, fields, method=method, body=body or None)
        reply = await Reply.of(await self.stage.pipeline.handle(request))
        lines = reply.answer.fields.all("set-cookie")
        shown = reply.body.decode() + "\n".join(f"{name}: {value}" for name, value in reply.answer.fields)
        for name in VISITORS:
            assert name == visitor or name not in shown, f"{visitor} got {shown!r} as {reply.answer.outcome}"
        for secret in SECRET.findall(shown):
            owner = self.seen.setdefault(secret, visitor)
            assert owner == visitor, f"{visitor} got {owner}'s {secret} as {reply.answer.outcome}"
        for line in lines:
            name, _, value = line.partition(";")[0].partition("=")
            if name != MARKER:
                self.jars[visitor][name] = value
        form = re.search(r'name="(_token|double)" value="(\w+)"', reply.body.decode())
        if form is not None:
            self.forms[visitor] = f"{form[1]}={form[2]}"


async def spend(rules: SiteRules, steps: list[Look | Send | Wait | Forget]) -> None:
    town = Town(rules)
    for step in steps:
        await town.step(step)


@given(st.sampled_from(SITES), DAY)
@settings(max_examples=300, deadline=None)
def test_no_page_cookie_or_token_of_one_visitor_reaches_another(
    rules: SiteRules, steps: list[Look | Send | Wait | Forget]
) -> None:
    asyncio.run(spend(rules, steps))
