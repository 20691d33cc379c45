"""Small shops that behave as the known shop systems do: their heads, cookies and form tokens, their habits.

What each says is data: the table `[shop]` of tests/edge/packs/NAME.toml.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tomllib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha1
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs

from tests.edge.wires import Heard, Origin, answer, origin

PACKS = Path(__file__).parents[1] / "edge" / "packs"
TYPES = {"css": "text/css", "js": "application/javascript", "jpg": "image/jpeg", "webp": "image/webp"}
LENGTHS = {"form_key": 16, "csrfmiddlewaretoken": 32, "_token": 40, "token": 32}


@dataclass(frozen=True, slots=True)
class Ways:
    """How a shop system behaves: paths, and field lines with `{session}` and `{token}` in them."""

    platform: str
    pages: tuple[str, ...]
    files: tuple[str, ...]
    own: tuple[str, ...]  # never to be cached: basket, checkout, account
    add: str  # by POST `item=`
    login: str  # by POST `name=`
    shows: tuple[str, ...]  # what pages show of their visitor: basket, login
    page: tuple[str, ...]
    personal: tuple[str, ...]
    file: tuple[str, ...]
    session: tuple[str, ...]  # cookies that everybody gets with everything
    after_add: tuple[str, ...]
    after_login: tuple[str, ...]
    tag: str = ""  # one that every page bears
    token: Mapping[str, str] = field(default_factory=dict)  # source, cookie, field, html

    @property
    def host(self) -> str:
        return f"{self.platform}.test"


def ways(platform: str) -> Ways:
    said = tomllib.loads((PACKS / f"{platform}.toml").read_text(encoding="utf-8"))["shop"]
    return Ways(platform, **{key: tuple(it) if isinstance(it, list) else it for key, it in said.items()})


@dataclass(slots=True)
class Visitor:
    """What the shop knows of one session."""

    name: str = ""
    basket: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Shop:
    """A shop at work. `sessions` are those it opened, `broken` the forms whose token it would not take."""

    ways: Ways
    sessions: dict[str, Visitor] = field(default_factory=dict)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    asked: list[str] = field(default_factory=list)
    broken: int = 0

    async def __call__(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        self.asked.append(heard.target)
        borne = _cookies(heard)
        known = next((value for value in borne.values() if value in self.sessions), None)
        session = known or f"s{next(self.numbers):03}{self.ways.platform}"
        visitor = self.sessions.get(session, Visitor())
        token = self._token(session, borne)
        lacking = [cookie for cookie in self.ways.session if cookie.partition("=")[0] not in borne]
        fresh = [f"Set-Cookie: {cookie}" for cookie in (self.ways.session if known is None else lacking)]
        status, lines, body = self._answer(heard, visitor, token)
        if heard.method == "POST":
            self.sessions[session] = visitor
        elif self.ways.session:
            self.sessions.setdefault(session, visitor)
        said = [line.replace("{session}", session).replace("{token}", token) for line in (*lines, *fresh)]
        writer.write(answer(body, f"{status.value} {status.phrase}", *said))

    def _token(self, session: str, borne: Mapping[str, str]) -> str:
        """The form token that belongs to this visitor, as the shop system makes them."""
        said = self.ways.token
        if not said:
            return ""
        whose = {"common": "all", "session": session, "cookie": f"{session}{next(self.numbers)}"}
        made = sha1(whose[said["source"]].encode()).hexdigest()[: LENGTHS.get(said["field"], 10)]
        return borne.get(said["cookie"], made) if said["source"] == "cookie" else made

    def _answer(self, heard: Heard, visitor: Visitor, token: str) -> tuple[HTTPStatus, list[str], bytes]:
        ways, form = self.ways, parse_qs(heard.body.decode())
        if heard.method == "POST":
            if ways.token and form.get(ways.token["field"]) != [token]:
                self.broken += 1
                return HTTPStatus.FORBIDDEN, [*ways.personal], b"Page expired"
            if heard.target == ways.login:
                visitor.name = form["name"][0]
                return HTTPStatus.FOUND, ["Location: /", *_set(ways.after_login)], b""
            visitor.basket.append(form["item"][0])
            return HTTPStatus.SEE_OTHER, [f"Location: {ways.own[0]}", *_set(ways.after_add)], b""
        if heard.target in ways.own:
            return HTTPStatus.OK, [*ways.personal], self._page(heard, visitor, ("basket", "login"), token)
        if heard.target in ways.files:
            media_type = TYPES[heard.target.rpartition(".")[2]]
            return HTTPStatus.OK, [f"Content-Type: {media_type}", *ways.file], b"/* the same for all */"
        if heard.target.partition("?")[0] in {page.partition("?")[0] for page in ways.pages}:
            return HTTPStatus.OK, [*ways.page], self._page(heard, visitor, ways.shows, token)
        return HTTPStatus.NOT_FOUND, [*ways.page], b"nothing here"

    def _page(self, heard: Heard, visitor: Visitor, shows: tuple[str, ...], token: str) -> bytes:
        name = visitor.name if "login" in shows else ""
        basket = ", ".join(visitor.basket) if "basket" in shows else ""
        form = self.ways.token.get("html", "").replace("{token}", token)
        text = (
            f"<!doctype html><title>{heard.target}</title><p>Hello {name}.<p>In your basket: {basket}.{form}"
        )
        return text.encode()


def _cookies(heard: Heard) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in heard.fields.get("cookie", "").split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


def _set(cookies: tuple[str, ...]) -> list[str]:
    return [f"Set-Cookie: {cookie}" for cookie in cookies]


@contextlib.asynccontextmanager
async def shop(platform: str) -> AsyncIterator[tuple[Shop, Origin]]:
    """A shop of that platform, listening."""
    made = Shop(ways(platform))
    async with origin(made) as listening:
        yield made, listening
