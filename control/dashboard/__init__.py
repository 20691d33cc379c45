"""The dashboard: pages for the operator, rendered here, live by server-sent events."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import aiohttp_jinja2
import jinja2
from aiohttp import web

from control.dashboard import charts, entrance, hooks, live, pages, people, plugins, rollouts, world
from control.dashboard.assets import PREFIX, Assets
from control.dashboard.history import SPANS, History
from control.dashboard.language import LANGUAGES, Language, load_languages
from control.dashboard.visit import THEMES, Dashboard, Page, for_everybody, for_members
from control.plane import Plane
from control.rights import Right


def setup(app: web.Application, plane: Plane) -> None:
    """Serves the dashboard's pages in `app`, beside the API."""
    assets = Assets()
    languages = load_languages()
    environments = {code: web.AppKey(f"tepi_dashboard_{code}", jinja2.Environment) for code in languages}
    for code, language in languages.items():
        environment = aiohttp_jinja2.setup(
            app,
            app_key=environments[code],
            loader=jinja2.PackageLoader("control.dashboard"),
            extensions=["jinja2.ext.i18n"],
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        equip(environment, language, assets)
    dashboard = Dashboard(plane, History(plane.samples), languages, environments)
    app[live.STOPPING] = asyncio.Event()
    app.on_shutdown.append(_stop)
    app.router.add_get(PREFIX + "/{digest}/{name}", assets.serve)
    everybody: tuple[tuple[str, str, Page], ...] = (
        ("GET", "/login", entrance.show_login),
        ("POST", "/login", entrance.login),
        ("GET", "/choose/{what}/{value}", entrance.choose),
    )
    for method, path, page in everybody:
        app.router.add_route(method, path, for_everybody(dashboard, page))
    members: tuple[tuple[str, str, Page, Right], ...] = (
        ("GET", "/", pages.overview, "read"),
        ("GET", "/purges", pages.purges, "read"),
        ("POST", "/purges", pages.purge, "purge"),
        ("GET", "/explain", pages.explain, "read"),
        ("GET", "/rollouts", rollouts.rollouts, "read"),
        ("GET", "/rollouts/{site}", rollouts.rollout, "read"),
        ("POST", "/rollouts/{site}", rollouts.change_rollout, "sites"),
        ("GET", "/hooks", hooks.hooks, "read"),
        ("POST", "/hooks", hooks.change_hooks, "sites"),
        ("GET", "/hooks/{node}/{letter}", hooks.letter, "sites"),
        ("GET", "/events", live.events, "read"),
        ("GET", "/account", people.account, "read"),
        ("POST", "/account", people.change_account, "read"),
        ("GET", "/users", people.users, "people"),
        ("POST", "/users", people.change_users, "people"),
        ("GET", "/tokens", people.tokens, "people"),
        ("POST", "/tokens", people.change_tokens, "people"),
        ("GET", "/audit", people.audit, "people"),
        ("GET", "/plugins/{plugin}", plugins.show, "read"),
        ("GET", "/plugins/{plugin}/{rest:.+}", plugins.show, "read"),
        ("POST", "/plugins/{plugin}/{rest:.+}", plugins.send, "read"),
        ("POST", "/logout", entrance.logout, "read"),
    )
    for method, path, page, right in members:
        app.router.add_route(method, path, for_members(dashboard, page, right))


def equip(environment: jinja2.Environment, language: Language, assets: Assets) -> None:
    """Gives templates one language's texts and forms, and the pages' pieces that never change."""
    environment.install_gettext_translations(language.texts, newstyle=True)  # type: ignore[attr-defined]
    environment.filters |= {
        "number": language.number,
        "percent": language.percent,
        "bytes": language.bytes,
        "duration": language.duration,
    }
    environment.globals |= {
        "asset": assets.path,
        "language": language,
        "languages": LANGUAGES,
        "themes": THEMES,
        "ranges": tuple(SPANS),
        "map_size": (world.WIDTH, world.HEIGHT),
        "chart_size": {
            "width": charts.WIDTH,
            "height": charts.HEIGHT,
            "left": charts.LEFT,
            "right": charts.WIDTH - charts.RIGHT,
            "bottom": charts.HEIGHT - charts.BOTTOM,
        },
        "states": states(language),
        "iso": lambda at: datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"),
    }


def states(language: Language) -> dict[str, str]:
    """What a node's state is called."""
    text = language.gettext
    return {
        "healthy": text("healthy"),
        "unhealthy": text("unhealthy"),
        "draining": text("draining"),
        "unknown": text("not known yet"),
        "invited": text("invited, has not joined"),
    }


async def _stop(app: web.Application) -> None:
    app[live.STOPPING].set()
