"""The API's table of endpoints, and what happens around each: who may, what is read, what errors become."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ValidationError
from sqlalchemy.exc import InterfaceError, OperationalError

from control.api.problem import problem
from control.auth import Principal, Scope, same
from control.plane import Plane
from edge.problems import Problem, Refused, problems_of

log = logging.getLogger("tepi.control.api")

PREFIX = "/api/v1"
LARGEST_BODY = 1024 * 1024
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
    scope: Scope = "admin"
    query: tuple[tuple[str, str], ...] = ()  # name, description
    status: int = 200


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
        principal = await authenticate(plane, request)
        if principal is None:
            return problem(
                401,
                "expected a bearer token in Authorization, or a dashboard session",
                headers={"WWW-Authenticate": 'Bearer realm="tepi"'},
            )
        if principal.scope != "admin" and principal.scope != endpoint.scope:
            return problem(403, f"a token with the scope {principal.scope} may not do this")
        if not csrf_holds(principal, request):
            return problem(403, f"expected the session's CSRF token in {CSRF_FIELD}")
        body = None if endpoint.body is None else await _body(request, endpoint.body)
        return await endpoint.handler(Call(plane, request, principal, body))

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
        except web.HTTPException:
            raise
        except Exception:
            log.exception("%s %s failed", request.method, request.path)
            return problem(500, "control failed; its log says why")

    return handle


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
    raw = await request.read()
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Refused([Problem("", f"{len(raw)} bytes", f"JSON ({error})")]) from None
    if _depth(document) > DEEPEST:
        raise Refused([Problem("", "a document that is nested too deeply", f"at most {DEEPEST} levels")])
    return document


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
