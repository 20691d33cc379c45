"""A browser as far as shops notice one: cookies, forms without scripts, scripts that send tokens, tabs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import unquote, urlencode, urljoin, urlsplit

from edge.http.message import Line

Send = Callable[[str, str, list[Line], bytes], Awaitable["Response"]]


@dataclass
class Response:
    """An answer as it came."""

    status: int
    lines: list[Line]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.lines if known.lower() == name]

    def __getitem__(self, name: str) -> str | None:
        return next(iter(self.all(name)), None)

    @property
    def verdict(self) -> str:
        """hit, stale, …, as Server-Timing tells it."""
        return (self["server-timing"] or "").partition('desc="')[2].partition('"')[0]


@dataclass
class Form:
    """A form on a page."""

    action: str
    method: str
    values: dict[str, str] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.metas: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(said.get("action", ""), said.get("method", "get").upper()))
        elif tag in ("input", "button") and self.forms and said.get("name"):
            self.forms[-1].values[said["name"]] = said.get("value", "")
        elif tag == "meta":
            self.metas[said.get("name", "")] = said.get("content", "")


@dataclass
class Tab:
    """One page as it was loaded: it stays as it is, whatever happens in other tabs."""

    path: str
    response: Response

    def __post_init__(self) -> None:
        reader = _Reader()
        reader.feed(self.response.body.decode("utf-8", "replace"))
        self.forms, self.metas = reader.forms, reader.metas

    def form(self, action: str) -> Form:
        return next(form for form in self.forms if form.action == action)

    @property
    def text(self) -> str:
        return self.response.body.decode()


@dataclass
class Browser:
    """One visitor's. `site` is the shop's origin, as Origin and Referer spell it."""

    send: Send
    site: str = "http://shop.test"
    agent: str = "Mozilla/5.0"
    cookies: dict[str, str] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)  # cookies that scripts don't see

    async def visit(self, path: str) -> Tab:
        """Open a page, redirects followed."""
        for _ in range(5):
            response = await self._ask("GET", path, self._navigating())
            location = response["location"]
            if response.status not in (301, 302, 303, 307, 308) or location is None:
                return Tab(path, response)
            path = _target(urljoin(f"{self.site}{path}", location))
        raise AssertionError(f"{path}: redirected for ever")

    async def submit(self, tab: Tab, form: Form, how: str = "urlencoded", **values: str) -> Response:
        """Send a form by hand, without scripts; redirects are not followed."""
        given = {**form.values, **values}
        kind, body = _MAKERS[how](given)
        fields = [*self._navigating("same-origin", tab), ("Origin", self.site), ("Content-Type", kind)]
        target = _target(urljoin(f"{self.site}{tab.path}", form.action))
        return await self._ask(form.method, target, fields, body)

    async def fetch(
        self, tab: Tab, path: str, data: dict[str, str], fields: dict[str, str], method: str = "POST"
    ) -> Response:
        """What a script sends, as JSON."""
        lines = [
            ("Accept", "application/json"), ("Content-Type", "application/json"), ("Origin", self.site),
            ("Referer", f"{self.site}{tab.path}"), ("Sec-Fetch-Site", "same-origin"), *fields.items(),
        ]  # fmt: skip
        return await self._ask(method, path, lines, json.dumps(data).encode())

    async def forge(self, path: str, data: dict[str, str], fields: dict[str, str]) -> Response:
        """What another site's page makes this browser send, at its worst: all cookies, Lax or not."""
        return await self._ask(
            "POST", path, [*fields.items(), ("Content-Type", URLENCODED)], urlencode(data).encode()
        )

    def seen_by_scripts(self, name: str) -> str | None:
        """document.cookie, decoded."""
        value = None if name in self.hidden else self.cookies.get(name)
        return None if value is None else unquote(value)

    def _navigating(self, site: str = "none", tab: Tab | None = None) -> list[Line]:
        lines = [("Accept", "text/html"), ("Sec-Fetch-Site", site), ("Sec-Fetch-Mode", "navigate")]
        return lines if tab is None else [*lines, ("Referer", f"{self.site}{tab.path}")]

    async def _ask(self, method: str, target: str, fields: list[Line], body: bytes = b"") -> Response:
        lines = [("User-Agent", self.agent), *fields]
        if self.cookies:
            lines.append(("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items())))
        response = await self.send(method, target, lines, body)
        for line in response.all("set-cookie"):
            self._keep(line)
        return response

    def _keep(self, line: str) -> None:
        pair, _, attributes = line.partition(";")
        name, _, value = pair.partition("=")
        lower = attributes.lower().replace(" ", "")
        self.cookies.pop(name, None)
        self.hidden.discard(name)
        if "max-age=0" not in lower and "01jan1970" not in lower:
            self.cookies[name] = value
            if "httponly" in lower:
                self.hidden.add(name)


URLENCODED = "application/x-www-form-urlencoded"


def _urlencoded(given: dict[str, str]) -> tuple[str, bytes]:
    return URLENCODED, urlencode(given).encode()


def _multipart(given: dict[str, str]) -> tuple[str, bytes]:
    boundary = "----tab42"
    parts = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in given.items()
    )
    return f"multipart/form-data; boundary={boundary}", ("".join(parts) + f"--{boundary}--\r\n").encode()


def _json(given: dict[str, str]) -> tuple[str, bytes]:
    return "application/json", json.dumps(given).encode()


_MAKERS = {"urlencoded": _urlencoded, "multipart": _multipart, "json": _json}


def _target(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
