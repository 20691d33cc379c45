"""/users, /tokens, /audit, /me: who may do what, and who did."""

from __future__ import annotations

from typing import Annotated, Any

from aiohttp import web
from pydantic import Field, model_validator

from control.api.problem import problem
from control.api.routes import BadQuery, Call, Denied, Endpoint
from control.audit import Broken
from control.people import SHORTEST_PASSWORD, Change, LastAdmin, NameTaken, Nobody
from control.rights import Right, Role, Scope, of_role, of_scopes
from edge.document.notation import Many, Name, Table

LONGEST_HOURS = 24 * 3650
MOST_ENTRIES = 500
_SITES = "The only sites that this holds for; left out, the whole fleet."

SiteNames = Annotated[tuple[Name, ...], Many, Field(min_length=1, max_length=1000)]
Password = Annotated[str, Field(min_length=SHORTEST_PASSWORD, max_length=1024)]


class UserBody(Table):
    """A user to come."""

    name: Name = Field(description="How he logs in: lower-case letters, digits and hyphens.")
    password: Password = Field(description="His password; he can change it himself.")
    role: Role = Field(description="viewer sees; operator purges and changes sites; admin does all.")
    sites: SiteNames | None = Field(None, description=_SITES)


class UserChange(Table):
    """What is to become of a user; what is left out stays."""

    role: Role | None = Field(None, description="His role from now on.")
    sites: SiteNames | None = Field(None, description=f"{_SITES} Goes with role.")
    password: Password | None = Field(None, description="A new password; it ends his sessions.")
    forget_second_factor: bool = Field(False, description="He has lost it; he logs in without one.")

    @model_validator(mode="after")
    def _sites_go_with_a_role(self) -> UserChange:
        if self.sites is not None and self.role is None:
            raise ValueError("role beside sites, since a role holds for its sites")
        return self


class TokenBody(Table):
    """A token to come."""

    name: Name = Field(description="Whose it is: the name that the audit log shows.")
    scopes: Annotated[tuple[Scope, ...], Many, Field(min_length=1, max_length=6)] = Field(
        description="read, purge, sites, nodes, people (users, tokens, audit); or admin for all of them."
    )
    sites: SiteNames | None = Field(None, description=_SITES)
    hours: float | None = Field(
        None, gt=0, le=LONGEST_HOURS, description="How long it is good; left out, until it is struck."
    )


def _need_as_much(call: Call, rights: frozenset[Right]) -> None:
    """Nobody gives what he has not, nor takes over who has more. Raises Denied."""
    more = sorted(rights - call.principal.rights)
    if more:
        raise Denied(f"{call.principal.name} lacks {', '.join(more)}, and can't decide on who has it")


async def _me(call: Call) -> web.Response:
    who = call.principal
    return web.json_response(
        {
            "name": who.name,
            "kind": who.kind,
            "rights": sorted(who.rights),
            "sites": None if who.sites is None else sorted(who.sites),
        }
    )


async def _users(call: Call) -> web.Response:
    return web.json_response({"users": await call.plane.people.users()})


async def _add_user(call: Call) -> web.Response:
    body: UserBody = call.body
    _need_as_much(call, of_role(body.role))
    try:
        await call.plane.people.add_user(body.name, body.password, body.role, body.sites)
    except NameTaken as error:
        return problem(409, str(error))
    return web.json_response(await call.plane.people.user(body.name), status=201)


async def _user(call: Call) -> web.Response:
    try:
        return web.json_response(await call.plane.people.user(call.path("name")))
    except Nobody as error:
        return problem(404, str(error))


async def _change_user(call: Call) -> web.Response:
    body: UserChange = call.body
    change = Change(body.role, body.sites, body.password, body.forget_second_factor)
    try:
        before = await call.plane.people.user(call.path("name"))
        _need_as_much(call, of_role(body.role or "viewer") | of_role(before["role"]))
        return web.json_response(await call.plane.people.change_user(call.path("name"), change))
    except Nobody as error:
        return problem(404, str(error))
    except LastAdmin as error:
        return problem(409, str(error))


async def _remove_user(call: Call) -> web.Response:
    try:
        before = await call.plane.people.user(call.path("name"))
        _need_as_much(call, of_role(before["role"]))
        await call.plane.people.remove_user(call.path("name"))
    except Nobody as error:
        return problem(404, str(error))
    except LastAdmin as error:
        return problem(409, str(error))
    return web.Response(status=204)


async def _tokens(call: Call) -> web.Response:
    return web.json_response({"tokens": await call.plane.people.tokens()})


async def _add_token(call: Call) -> web.Response:
    body: TokenBody = call.body
    _need_as_much(call, of_scopes(body.scopes))
    try:
        token = await call.plane.people.add_token(
            body.name,
            body.scopes,
            by=call.principal.name,
            sites=body.sites,
            seconds=None if body.hours is None else body.hours * 3600,
        )
    except NameTaken as error:
        return problem(409, str(error))
    return web.json_response({"name": body.name, "token": token}, status=201)


async def _remove_token(call: Call) -> web.Response:
    try:
        await call.plane.people.remove_token(call.path("name"))
    except Nobody as error:
        return problem(404, str(error))
    return web.Response(status=204)


def _number(call: Call, name: str, low: int, high: int) -> int | None:
    text = call.query(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19 and low <= int(text) <= high):
        raise BadQuery(name, text, f"a whole number from {low} to {high}")
    return int(text)


async def _audit(call: Call) -> web.Response:
    entries = await call.plane.audit.entries(
        before=_number(call, "before", 1, 2**62),
        who=call.query("who"),
        limit=_number(call, "limit", 1, MOST_ENTRIES) or 100,
    )
    return web.json_response({"entries": entries})


async def _verify(call: Call) -> web.Response:
    document: dict[str, Any]
    try:
        count, head = await call.plane.audit.verify(call.query("known"))
        document = {"holds": True, "entries": count, "head": head}
    except Broken as error:
        document = {"holds": False, "why": str(error)}
    return web.json_response(document)


ENDPOINTS = (
    Endpoint(
        "GET", "/me", "Who asks, and what he may do", _me,
        rights=("read", "purge", "sites", "nodes", "people"),
    ),
    Endpoint("GET", "/users", "All users", _users, rights=("people",)),
    Endpoint("POST", "/users", "Add a user", _add_user, body=UserBody, status=201, rights=("people",)),
    Endpoint("GET", "/users/{name}", "One user", _user, rights=("people",)),
    Endpoint("PATCH", "/users/{name}", "Change a user", _change_user, body=UserChange, rights=("people",)),
    Endpoint("DELETE", "/users/{name}", "Strike a user", _remove_user, status=204, rights=("people",)),
    Endpoint("GET", "/tokens", "All API tokens, without their secrets", _tokens, rights=("people",)),
    Endpoint(
        "POST", "/tokens", "Make an API token; it is shown this once", _add_token,
        body=TokenBody, status=201, rights=("people",),
    ),
    Endpoint("DELETE", "/tokens/{name}", "Strike a token", _remove_token, status=204, rights=("people",)),
    Endpoint(
        "GET", "/audit", "The audit log, the newest entries first", _audit, rights=("people",),
        query=(
            ("before", "The number that the entries come before."),
            ("who", "One user or token only."),
            ("limit", f"How many, {MOST_ENTRIES} at most; 100."),
        ),
    ),
    Endpoint(
        "GET", "/audit/verify", "Whether the audit log is whole and unchanged", _verify, rights=("people",),
        query=(("known", "The hash of an entry that was noted down: it must be there."),),
    ),
)  # fmt: skip
