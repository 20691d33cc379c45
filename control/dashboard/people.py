"""Users, tokens, the audit log, and everybody's own account."""

from __future__ import annotations

import io
from typing import Any

import segno
from aiohttp import web
from pydantic import BaseModel, ValidationError

from control.api.people import TokenBody, UserBody
from control.audit import Broken
from control.dashboard.visit import FIELDS, Visit
from control.people import (
    SHORTEST_PASSWORD,
    Change,
    LastAdmin,
    NameTaken,
    Nobody,
    WrongCode,
    new_secret,
    secret_url,
)
from edge.document.problems import problems_of

PAGE = 50  # entries of the audit log


async def users(visit: Visit) -> web.StreamResponse:
    """Who may log in."""
    return await _users(visit, {}, None)


async def change_users(visit: Visit) -> web.StreamResponse:
    """Takes the forms of that page: add, or strike."""
    form = await visit.form()
    people, text = visit.plane.people, visit.language.gettext
    try:
        if form.get("do") == "remove":
            await people.remove_user(form.get("name", ""))
            raise web.HTTPSeeOther("/users", headers=FIELDS)
        body: UserBody = _read(UserBody, _filled(form, "name", "password", "role") | _sites(form))
        await people.add_user(body.name, body.password, body.role, body.sites)
    except ValueError as error:
        return await _users(visit, form, str(error))
    except NameTaken:
        return await _users(visit, form, text("There is a user of that name already."))
    except (Nobody, LastAdmin) as error:
        known = text("One admin of the whole fleet has to be left.")
        return await _users(visit, {}, known if isinstance(error, LastAdmin) else str(error))
    raise web.HTTPSeeOther("/users", headers=FIELDS)


async def _users(visit: Visit, form: dict[str, str], problem: str | None) -> web.Response:
    return visit.render(
        "users.html",
        422 if problem else 200,
        users=await visit.plane.people.users(),
        sites=await visit.plane.sites.all(),
        form=form,
        problem=problem,
        shortest=SHORTEST_PASSWORD,
    )


async def tokens(visit: Visit) -> web.StreamResponse:
    """Which programs may do what, and until when."""
    return await _tokens(visit, {}, None)


async def change_tokens(visit: Visit) -> web.StreamResponse:
    """Takes the forms of that page: make one, which is shown once, or strike one."""
    form = await visit.form()
    people, text = visit.plane.people, visit.language.gettext
    assert visit.principal is not None
    try:
        if form.get("do") == "remove":
            await people.remove_token(form.get("name", ""))
            raise web.HTTPSeeOther("/tokens", headers=FIELDS)
        wish: dict[str, Any] = _filled(form, "name") | _sites(form) | {"scopes": [form.get("scope", "")]}
        if form.get("days"):
            wish["hours"] = float(form["days"]) * 24
        body: TokenBody = _read(TokenBody, wish)
        token = await people.add_token(
            body.name,
            body.scopes,
            by=visit.principal.name,
            sites=body.sites,
            seconds=None if body.hours is None else body.hours * 3600,
        )
    except ValueError as error:
        return await _tokens(visit, form, str(error))
    except NameTaken:
        return await _tokens(visit, form, text("There is a token of that name already."))
    except Nobody as error:
        return await _tokens(visit, {}, str(error))
    return await _tokens(visit, {}, None, token)


async def _tokens(
    visit: Visit, form: dict[str, str], problem: str | None, fresh: str | None = None
) -> web.Response:
    return visit.render(
        "tokens.html",
        422 if problem else 200,
        tokens=await visit.plane.people.tokens(),
        sites=await visit.plane.sites.all(),
        now=visit.plane.clocks.wall(),
        form=form,
        problem=problem,
        fresh=fresh,
    )


async def audit(visit: Visit) -> web.StreamResponse:
    """Who did what, the newest first; and whether the log is whole."""
    text = visit.request.query.get("before", "")
    before = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    entries = await visit.plane.audit.entries(before=before, limit=PAGE)
    verdict = None
    if "verify" in visit.request.query:
        try:
            count, head = await visit.plane.audit.verify()
            verdict = {"holds": True, "count": count, "head": head}
        except Broken as error:
            verdict = {"holds": False, "why": str(error)}
    older = entries[-1]["number"] if len(entries) == PAGE and entries[-1]["number"] > 1 else None
    return visit.render("audit.html", entries=entries, older=older, verdict=verdict)


async def account(visit: Visit) -> web.StreamResponse:
    """One's own password and second factor."""
    return await _account(visit, None)


async def change_account(visit: Visit) -> web.StreamResponse:
    """Takes the forms of that page. A change needs the password of now."""
    form = await visit.form()
    text, people = visit.language.gettext, visit.plane.people
    assert visit.principal is not None
    name = visit.principal.name
    if not await visit.plane.auth.knows(name, form.get("current", "")):
        return await _account(visit, text("That is not your password of now."), form.get("secret"))
    match form.get("do"):
        case "password":
            if not SHORTEST_PASSWORD <= len(form.get("password", "")) <= 1024:
                wanted = text("A password has at least %(count)s characters.") % {"count": SHORTEST_PASSWORD}
                return await _account(visit, wanted)
            await people.change_user(name, Change(password=form["password"]))
        case "second-factor":
            secret = form.get("secret", "")
            try:
                await people.set_second_factor(name, secret, form.get("code", ""))
            except (WrongCode, ValueError):
                return await _account(visit, text("The code does not fit. Try the next one."), secret)
        case "forget-second-factor":
            await people.change_user(name, Change(forget_second_factor=True))
    raise web.HTTPSeeOther("/account", headers=FIELDS)


async def _account(visit: Visit, problem: str | None, secret: str | None = None) -> web.Response:
    assert visit.principal is not None
    secret = secret if secret and secret.isalnum() else new_secret()
    picture = io.BytesIO()
    segno.make(secret_url(visit.principal.name, secret), error="m").save(
        picture, kind="svg", xmldecl=False, svgns=False, scale=4, border=4, light="#fff", svgclass=None,
        lineclass=None,
    )  # fmt: skip
    return visit.render(
        "account.html",
        422 if problem else 200,
        user=await visit.plane.people.user(visit.principal.name),
        secret=secret,
        picture=picture.getvalue().decode(),
        problem=problem,
        shortest=SHORTEST_PASSWORD,
    )


def _filled(form: dict[str, str], *names: str) -> dict[str, Any]:
    return {name: form[name] for name in names if form.get(name)}


def _sites(form: dict[str, str]) -> dict[str, Any]:
    return {"sites": [form["site"]]} if form.get("site") else {}


def _read(model: type[BaseModel], wish: dict[str, Any]) -> Any:
    """`wish` as the API would take it. Raises ValueError."""
    try:
        return model.model_validate(wish)
    except ValidationError as error:
        said = "; ".join(f"{one.field}: {one.expected}" for one in problems_of(error, model))
        raise ValueError(said) from None
