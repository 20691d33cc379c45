"""One look at a page: who, in which language and zone; and what holds for every page (rights, forms)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import aiohttp_jinja2
import jinja2
from aiohttp import web

from control.api.routes import SESSION_COOKIE, Denied
from control.audit import Actor, acting
from control.auth import same
from control.dashboard.history import SPANS, History, Range
from control.dashboard.language import Language, choose_language
from control.plane import Plane
from control.rights import Principal, Right

LANGUAGE_COOKIE = "tepi_language"
THEME_COOKIE = "tepi_theme"
ZONE_COOKIE = "tepi_zone"
THEMES = ("auto", "light", "dark")
YEAR = 365 * 86_400
LONGEST_FIELD = 8200  # characters

_NOTHING_ELSE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FIELDS = {
    "Content-Security-Policy": _NOTHING_ELSE,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cache-Control": "no-store",
    "Vary": "Cookie, Accept-Language",
}


@dataclass(frozen=True, slots=True)
class Dashboard:
    """What every page is made from."""

    plane: Plane
    history: History
    languages: dict[str, Language]
    environments: dict[str, web.AppKey[jinja2.Environment]]  # one of Jinja's a language


@dataclass(frozen=True, slots=True)
class Visit:
    """A request to the dashboard. `principal` is None before the login."""

    dashboard: Dashboard
    request: web.Request
    language: Language
    zone: tzinfo
    theme: str
    principal: Principal | None

    @property
    def plane(self) -> Plane:
        """Control's parts."""
        return self.dashboard.plane

    @property
    def range(self) -> Range:
        """The range of time that charts show."""
        wanted = self.request.query.get("range")
        return next((range for range in SPANS if range == wanted), "15m")

    def render(self, template: str, status: int = 200, **context: object) -> web.Response:
        """A page."""
        response = aiohttp_jinja2.render_template(
            template, self.request, {"visit": self, **context}, app_key=self._key, status=status
        )
        response.headers.update(FIELDS)
        return response

    async def form(self) -> dict[str, str]:
        """What was sent, without its CSRF token."""
        sent = await self.request.post()
        return {name: str(value)[:LONGEST_FIELD] for name, value in sent.items() if name != "csrf"}

    def fragment(self, template: str, **context: object) -> str:
        """A part of a page."""
        return aiohttp_jinja2.render_string(
            template, self.request, {"visit": self, **context}, app_key=self._key
        )

    @property
    def _key(self) -> web.AppKey[jinja2.Environment]:
        return self.dashboard.environments[self.language.code]


Page = Callable[[Visit], Awaitable[web.StreamResponse]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def for_everybody(dashboard: Dashboard, page: Page) -> Handler:
    """`page`, with or without a login. What other sites' pages ask for is refused."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.method == "POST" and not _own_form(request):
            raise web.HTTPForbidden(text="This form was not sent by Tepi's own page.\n", headers=FIELDS)
        return await page(await _visit(dashboard, request))

    return handle


def for_members(dashboard: Dashboard, page: Page, right: Right = "read") -> Handler:
    """`page`, for those who are logged in and have `right`; others are asked to log in, or told.

    A form must bear the session's CSRF token.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        visit = await _visit(dashboard, request)
        if visit.principal is None:
            back = request.path_qs if request.method == "GET" and "events" not in request.path else "/"
            raise web.HTTPSeeOther(f"/login?next={quote(back, safe='')}", headers=FIELDS)
        acting.set(Actor(visit.principal.name, visit.principal.kind, request.remote or ""))
        if request.method == "POST":
            form = await request.post()
            if not same(str(form.get("csrf", "")), visit.principal.csrf or ""):
                raise web.HTTPForbidden(text="The form is too old: load the page again.\n", headers=FIELDS)
        try:
            if not visit.principal.may(right):
                raise Denied(right)
            return await page(visit)
        except Denied:
            await visit.plane.denials.note(f"{request.method} {request.path}")
            return visit.render("denied.html", 403)

    return handle


async def _visit(dashboard: Dashboard, request: web.Request) -> Visit:
    cookie = request.cookies.get(SESSION_COOKIE)
    code = choose_language(request.cookies.get(LANGUAGE_COOKIE), request.headers.get("Accept-Language", ""))
    theme = request.cookies.get(THEME_COOKIE, "auto")
    return Visit(
        dashboard=dashboard,
        request=request,
        language=dashboard.languages[code],
        zone=zone_called(request.cookies.get(ZONE_COOKIE, "")),
        theme=theme if theme in THEMES else "auto",
        principal=None if cookie is None else await dashboard.plane.auth.by_cookie(cookie),
    )


def zone_called(name: str) -> tzinfo:
    """The time zone that a browser named (its script wrote `/` as `.`), UTC where there is none such."""
    try:
        return ZoneInfo(name.replace(".", "/")) if 0 < len(name) <= 64 else UTC
    except (ValueError, OSError, KeyError):
        return UTC


def local_path(text: str) -> str:
    """`text` if it is a path on this server, else the first page: nobody is sent away from here."""
    if not text.startswith("/") or text.startswith("//") or "\\" in text or not text.isprintable():
        return "/"
    parts = urlsplit(text)
    return text if not parts.scheme and not parts.netloc else "/"


def _own_form(request: web.Request) -> bool:
    """Whether a browser says that a page of this very origin sent the form, or says nothing."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host
