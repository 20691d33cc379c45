"""The API's table of endpoints, and what happens around each: who may, what is read, what errors become."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import InterfaceError, OperationalError

from control.api.problem import problem
from control.audit import Actor, acting
from control.auth import TokenExpired, same
from control.plane import Plane
from control.rights import Principal, Right
from edge.document.problems import Problem, Refused, problems_of

log = logging.getLogger("tepi.control.api")

PREFIX = "/api/v1"
LARGEST_BODY = 1024 * 1024
BODY_SECONDS = 20.0  # in which a body has to be there
DEEPEST = 32
SESSION_COOKIE = "tepi_session"
CSRF_FIELD = "X-CSRF-Token"


@dataclass(frozen=True, slots=True)
class Call:
    """One authorised request: its principal, its body as a model, its path and query parameters."""

    plane: Plane
    request: web.Request
    principal: Principal
    body: Any

    def path(self, name: str) -> str:
        """A parameter of the path."""
        return self.request.match_info[name]

    def query(self, name: str) -> str | None:
        """A parameter of the query."""
        return self.request.query.get(name)


Handler = Callable[[Call], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the API. `body` validates what is sent, and is what OpenAPI shows."""

    method: str
    path: str
    summary: str
    handler: Handler
    body: type[BaseModel] | None = None
    rights: tuple[Right, ...] = ("read",)  # one of them is needed
    query: tuple[tuple[str, str], ...] = ()  # name, description
    status: int = 200


class Denied(Exception):
    """The principal lacks the right; the sentence says which."""


class BadQuery(ValueError):
    """A query parameter that can't be read."""

    def __init__(self, name: str, got: str, expected: str) -> None:
        super().__init__(name)
        self.problem = Problem(name, repr(got), expected)


def add_endpoints(application: web.Application, plane: Plane, endpoints: tuple[Endpoint, ...]) -> None:
    """Serves `endpoints` under the API's prefix."""
    for endpoint in endpoints:
        application.router.add_route(endpoint.method, PREFIX + endpoint.path, _handler(plane, endpoint))


def _handler(plane: Plane, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        if any("\x00" in part for part in request.match_info.values()):
            return problem(404, "there is nothing whose name holds a NUL")
        for name, value in request.query.items():
            if "\x00" in name + value:
                raise BadQuery(name.replace("\x00", ""), value[:40], "text without NUL")
        try:
            principal = await authenticate(plane, request)
        except TokenExpired as error:
            then = datetime.fromtimestamp(error.at, UTC).isoformat(timespec="seconds")
            return _who_is_there(
                f"the token {error.name} expired at {then}; have a new one made", "invalid_token"
            )
        if principal is None:
            return _who_is_there("expected a bearer token in Authorization, or a dashboard session")
        acting.set(Actor(principal.name, principal.kind, request.remote or ""))
        try:
            if not principal.may(*endpoint.rights):
                held = ", ".join(sorted(principal.rights)) or "no right"
                wanted = " or ".join(endpoint.rights)
                raise Denied(f"{principal.name} has {held}; this needs {wanted}")
            if not csrf_holds(principal, request):
                return problem(403, f"expected the session's CSRF token in {CSRF_FIELD}")
            body = None if endpoint.body is None else await _body(request, endpoint.body)
            return await endpoint.handler(Call(plane, request, principal, body))
        except Denied as error:
            await plane.denials.note(f"{request.method} {request.path}")
            return problem(403, str(error))

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await answer(request)
        except Refused as error:
            return problem(422, "the request is refused whole; nothing was changed", error.problems)
        except BadQuery as error:
            return problem(400, "the query can't be read", [error.problem])
        except (OperationalError, InterfaceError) as error:
            log.warning("%s %s: %s", request.method, request.path, type(error).__name__)
            return problem(503, "the database does not answer; try again", headers={"Retry-After": "1"})
        except web.HTTPRequestEntityTooLarge:
            return problem(413, f"expected a body of at most {LARGEST_BODY} bytes")
        except web.HTTPException:
            raise
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return problem(500, "control failed; its log says why")

    return handle


def _who_is_there(detail: str, error: str = "") -> web.Response:
    """401; `error` as RFC 6750 §3.1 names it."""
    challenge = 'Bearer realm="tepi"' + (f', error="{error}"' if error else "")
    return problem(401, detail, headers={"WWW-Authenticate": challenge})


@web.middleware
async def problems_for_all(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Under the API's prefix, what no endpoint answers is a problem document too."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if request.path.startswith(PREFIX) and error.status >= 400:
            allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
            return problem(
                error.status, f"{request.method} {request.path[:200]}: {error.reason}", headers=allowed
            )
        raise


def csrf_holds(principal: Principal, request: web.Request) -> bool:
    """Whether a change asked for with a session was asked for by our own pages; tokens need no proof."""
    if principal.csrf is None or request.method in ("GET", "HEAD"):
        return True
    return same(request.headers.get(CSRF_FIELD, ""), principal.csrf)


async def authenticate(plane: Plane, request: web.Request) -> Principal | None:
    """Who makes `request`: by bearer token, else by session cookie."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return await plane.auth.by_token(token.strip())
    cookie = request.cookies.get(SESSION_COOKIE)
    return None if cookie is None else await plane.auth.by_cookie(cookie)


async def _body(request: web.Request, model: type[BaseModel]) -> BaseModel:
    document = await read_json(request)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise Refused(problems_of(error, model)) from None


async def read_json(request: web.Request) -> Any:
    """The request's body. Raises Refused, HTTPRequestEntityTooLarge."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"expected the body within {BODY_SECONDS:g} s") from None
    try:
        document = json.loads(raw, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Refused([Problem("", f"{len(raw)} bytes", f"JSON ({error})")]) from None
    if _depth(document) > DEEPEST:
        raise Refused([Problem("", "a document that is nested too deeply", f"at most {DEEPEST} levels")])
    place = _unstorable(document)
    if place is not None:
        wanted = "text without NUL and half surrogates, and finite numbers"
        raise Refused([Problem(place, "what no database can keep", wanted)])
    return document


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number in JSON")


def _unstorable(document: Any) -> str | None:
    """The path of the first text or number that can't be kept everywhere, if there is one."""
    open_: list[tuple[str, Any]] = [("", document)]
    while open_:
        place, value = open_.pop()
        if isinstance(value, str):
            if "\x00" in value or any("\ud800" <= sign <= "\udfff" for sign in value):
                return place
        elif isinstance(value, float):
            if not math.isfinite(value):
                return place
        elif isinstance(value, dict):
            open_ += [(place, key) for key in value]
            open_ += [(f"{place}.{key}".lstrip("."), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            open_ += [(f"{place}.{at}".lstrip("."), inner) for at, inner in enumerate(value)]
    return None


def _depth(document: Any) -> int:
    deepest, open_ = 0, [(document, 1)]
    while open_:
        value, level = open_.pop()
        deepest = max(deepest, level)
        if isinstance(value, dict):
            open_ += [(inner, level + 1) for inner in value.values()]
        elif isinstance(value, list):
            open_ += [(inner, level + 1) for inner in value]
    return deepest
