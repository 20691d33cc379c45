"""A shop as frameworks make them: an encrypted session for everybody, a token masked anew at each rendering.

It answers a form without its session's token with 419, and says "no-cache, private" of every page.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from html import escape
from urllib.parse import parse_qs, quote, unquote

from edge.http.message import Line
from edge.policy.patterns import Patterns
from edge.policy.rules import ClassRules, PageRules, SiteRules, TokenRule

TOKEN = TokenRule(
    "token",
    (r'name="_token" value="([^"]+)"', r'name="csrf-token" content="([^"]+)"', r"csrfToken: '([^']+)'"),
    "session",
    cookie="kedai_session",
    fields=("x-csrf-token",),
)
SCRIPTS = TokenRule("scripts", (), "session", cookie="XSRF-TOKEN", fields=("x-xsrf-token",))


def rules(*, guard: bool = True, mark: bool = True, seconds: int = 300) -> SiteRules:
    """What an operator says of this shop."""
    pages = PageRules(
        seconds, despite_paths=Patterns(("*",)), mark=mark, tokens=(TOKEN, SCRIPTS)
    )  # fmt: skip
    never = Patterns(("/cart", "/account"))
    return SiteRules("shop", guard=guard, classes=ClassRules(never_paths=never, pages=pages))


@dataclass
class Session:
    """What the shop knows of one browser."""

    token: bytes
    cart: list[str] = field(default_factory=list)
    user: str | None = None


@dataclass
class Said:
    """The shop's answer."""

    status: int
    lines: list[Line]
    body: bytes = b""


@dataclass
class Kedai:
    """The shop. `mismatches` counts the forms that it would not take."""

    seed: int = 1
    sessions: dict[str, Session] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    mismatches: int = 0
    served: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def answer(self, method: str, target: str, fields: dict[str, str], body: bytes) -> Said:
        """The answer to one request; names of `fields` are lower case."""
        self.served += 1
        path, _, query = target.partition("?")
        session = self._session(fields.get("cookie", ""))
        if method == "HEAD":
            method = "GET"
        if method == "GET":
            said = self._page(path, query, session)
        else:
            said = self._form(path, session, fields, body)
        said.lines += [
            ("Cache-Control", "no-cache, private"),
            (
                "Set-Cookie",
                f"kedai_session={self._sealed(session)}; Path=/; HttpOnly; SameSite=Lax; Max-Age=7200",
            ),
            (
                "Set-Cookie",
                f"XSRF-TOKEN={quote(self._sealed(session) + '=')}; Path=/; SameSite=Lax; Max-Age=7200",
            ),
        ]
        return said

    def forget_sessions(self) -> None:
        """As if two hours had passed."""
        self.sessions.clear()

    # Sessions and tokens --------------------------------------------------------------------------

    def _session(self, cookie: str) -> Session:
        for pair in cookie.split(";"):
            name, _, value = pair.strip().partition("=")
            if name == "kedai_session" and value[:16] in self.sessions:
                return self.sessions[value[:16]]
        session = Session(self._random.randbytes(20))
        self.sessions[self._random.randbytes(8).hex()] = session
        return session

    def _sealed(self, session: Session) -> str:
        """The session's name as an encrypted cookie looks: another one each time."""
        name = next(name for name, known in self.sessions.items() if known is session)
        return name + self._random.randbytes(24).hex()

    def _masked(self, session: Session) -> str:
        mask = self._random.randbytes(20)
        return (mask + bytes(one ^ other for one, other in zip(mask, session.token, strict=True))).hex()

    def _holds(self, token: str, session: Session) -> bool:
        try:
            raw = bytes.fromhex(token)
        except ValueError:
            return False
        return bytes(one ^ other for one, other in zip(raw[:20], raw[20:], strict=False)) == session.token

    def _knows(self, fields: dict[str, str], given: dict[str, str], session: Session) -> bool:
        """Whether the request bears this session's token, in the form, or where scripts put it."""
        if self._holds(given.get("_token", "") or fields.get("x-csrf-token", ""), session):
            return True
        sealed = unquote(fields.get("x-xsrf-token", ""))
        return sealed.endswith("=") and self.sessions.get(sealed[:16]) is session

    # Pages ----------------------------------------------------------------------------------------

    def _page(self, path: str, query: str, session: Session) -> Said:
        if path == "/account" and session.user is None:
            return Said(302, [("Location", "/login"), ("Content-Type", "text/html")], b"<p>moved</p>")
        if path == "/cart":
            items = "".join(f"<li>{escape(item)}</li>" for item in session.cart)
            return self._html("cart", f"<ul>{items}</ul>", session)
        if path == "/account":
            return self._html("account", f"<p>{escape(session.user or '')}'s orders</p>", session)
        if path in ("/login", "/register"):
            return self._html(path[1:], self._html_form(path, session, ("name", "password")), session)
        if path.startswith("/p/"):
            form = self._html_form("/cart/add", session, ("quantity",), item=path[3:])
            return self._html("product", f"<h1>{escape(path[3:])}</h1>{form}{form}", session)
        if path == "/":
            return self._html("home", self._html_form("/newsletter", session, ("email",)), session)
        return Said(404, [("Content-Type", "text/html")], b"<body class=none>no such page</body>")

    def _html(self, kind: str, content: str, session: Session) -> Said:
        token = self._masked(session)
        who = "" if session.user is None else f"<p>Hello, {escape(session.user)}</p><a href='/logout'>x</a>"
        page = (
            f'<!doctype html><html><head><meta name="csrf-token" content="{token}"></head>'
            f'<body class="{kind} page">{who}<p>{len(session.cart) or "no"} items</p>{content}'
            f"<script>window.shop = {{csrfToken: '{self._masked(session)}'}}</script></body></html>"
        )
        return Said(200, [("Content-Type", "text/html; charset=utf-8")], page.encode())

    def _html_form(self, action: str, session: Session, inputs: tuple[str, ...], **hidden: str) -> str:
        fields = "".join(
            f'<input type="hidden" name="{name}" value="{value}">' for name, value in hidden.items()
        )
        fields += "".join(f'<input name="{name}">' for name in inputs)
        token = f'<input type="hidden" name="_token" value="{self._masked(session)}">'
        return f'<form method="post" action="{action}">{token}{fields}</form>'

    # Forms ----------------------------------------------------------------------------------------

    def _form(self, path: str, session: Session, fields: dict[str, str], body: bytes) -> Said:
        if fields.get("content-type", "").startswith("application/json"):
            given = {name: str(value) for name, value in json.loads(body or b"{}").items()}
        elif fields.get("content-type", "").startswith("multipart/form-data"):
            given = _multipart(body)
        else:
            given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if not self._knows(fields, given, session):
            self.mismatches += 1
            return Said(419, [("Content-Type", "text/html")], b"<p>Page expired</p>")
        if path == "/register":
            self.users[given["name"]] = given["password"]
        if path in ("/register", "/login"):
            if self.users.get(given["name"]) != given["password"]:
                return Said(422, [("Content-Type", "text/html")], b"<p>wrong</p>")
            return self._logged_in(session, given["name"])
        if path == "/cart/add":
            session.cart.append(given["item"])
        if "json" in fields.get("accept", ""):
            return Said(200, [("Content-Type", "application/json")], json.dumps(session.cart).encode())
        return Said(303, [("Location", "/cart"), ("Content-Type", "text/html")])

    def _logged_in(self, session: Session, user: str) -> Said:
        """A new session name and a new token, the basket kept, as login should do it."""
        name = next(name for name, known in self.sessions.items() if known is session)
        del self.sessions[name]
        self.sessions[self._random.randbytes(8).hex()] = session
        session.user, session.token = user, self._random.randbytes(20)
        return Said(303, [("Location", "/account"), ("Content-Type", "text/html")])


def _multipart(body: bytes) -> dict[str, str]:
    boundary = body.partition(b"\r\n")[0]
    found = {}
    for part in body.split(boundary)[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        found[head.partition(b'name="')[2].partition(b'"')[0].decode()] = value.removesuffix(b"\r\n").decode()
    return found
