"""Coming in and going out: login, logout, and what a browser is to remember (language, colours)."""

from __future__ import annotations

from aiohttp import web

from control.api.routes import SESSION_COOKIE
from control.auth import TooManyGuesses, WrongPassword
from control.dashboard.language import LANGUAGES
from control.dashboard.visit import FIELDS, LANGUAGE_COOKIE, THEME_COOKIE, THEMES, YEAR, Visit, local_path

LONGEST = 1024  # characters of a user's name or password that are looked at


async def show_login(visit: Visit) -> web.StreamResponse:
    """The login form; who is in already is sent on."""
    onward = local_path(visit.request.query.get("next", "/"))
    if visit.principal is not None:
        raise web.HTTPSeeOther(onward, headers=FIELDS)
    return visit.render("login.html", next=onward, user="", problem=None)


async def login(visit: Visit) -> web.StreamResponse:
    """Takes the login form."""
    form = await visit.request.post()
    user, password = str(form.get("user", ""))[:LONGEST], str(form.get("password", ""))[:LONGEST]
    code = str(form.get("code", "")).strip()[:LONGEST]
    onward = local_path(str(form.get("next", "/")))
    text = visit.language.gettext
    try:
        session = await visit.plane.auth.login(user, password, visit.request.remote or "", code)
    except WrongPassword:
        problem = text("User and password do not belong together, or the code is missing or wrong.")
        return visit.render("login.html", 401, next=onward, user=user, problem=problem)
    except TooManyGuesses as error:
        problem = text("Too many wrong passwords. Wait %(wait)s before the next try.") % {
            "wait": visit.language.duration(max(1.0, round(error.wait)))
        }
        response = visit.render("login.html", 429, next=onward, user=user, problem=problem)
        response.headers["Retry-After"] = str(max(1, round(error.wait)))
        return response
    sent_on = web.HTTPSeeOther(onward, headers=FIELDS)
    sent_on.set_cookie(
        SESSION_COOKIE,
        session.cookie,
        max_age=max(0, int(session.expires_at - visit.plane.clocks.wall())),
        httponly=True,
        samesite="Lax",
        secure=visit.request.secure,
        path="/",
    )
    raise sent_on


async def logout(visit: Visit) -> web.StreamResponse:
    """Ends the session."""
    await visit.plane.auth.logout(visit.request.cookies[SESSION_COOKIE])
    sent_on = web.HTTPSeeOther("/login", headers=FIELDS)
    sent_on.del_cookie(SESSION_COOKIE, path="/")
    raise sent_on


async def choose(visit: Visit) -> web.StreamResponse:
    """Remembers a language or the colours, and goes back to the page."""
    what, value = visit.request.match_info["what"], visit.request.match_info["value"]
    choices = {"language": (LANGUAGE_COOKIE, tuple(LANGUAGES)), "theme": (THEME_COOKIE, THEMES)}
    cookie, allowed = choices.get(what, ("", ()))
    if value not in allowed:
        raise web.HTTPNotFound(headers=FIELDS)
    sent_on = web.HTTPSeeOther(local_path(visit.request.query.get("back", "/")), headers=FIELDS)
    sent_on.set_cookie(
        cookie, value, max_age=YEAR, httponly=True, samesite="Lax", secure=visit.request.secure, path="/"
    )
    raise sent_on
