"""Plugins' pages within the dashboard: their fragments in our layout, with charts drawn by us."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC
from functools import partial
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from control.api.routes import Denied
from control.dashboard.charts import Chart, Series, Times, draw
from control.dashboard.visit import FIELDS, Visit, local_path
from control.plugins import NotReached, Told, path_of

CHART = re.compile(r'<div data-chart="([^"]{2,200000})"></div>')
UNFILLED = '<input type="hidden" name="csrf" value="">'  # of a fragment's form: it gets the session's
COLOURS = ("store", "origin", "passed", "failed", *(f"node-{number}" for number in range(6)))
MOST_POINTS = 4000
LONGEST_NOTED = 200  # characters of a field in the audit log


class _Series(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(max_length=80)
    colour: str = Field(pattern="^(" + "|".join(COLOURS) + ")$")
    points: Annotated[list[float | None], Field(max_length=MOST_POINTS)]


class _Figures(BaseModel):
    """What a plugin says of a chart: control draws it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(pattern=r"^[A-Za-z0-9-]{1,40}$")
    title: str = Field(max_length=200)
    unit: str = Field(max_length=40)
    start: int
    step: Annotated[int, Field(ge=60, le=31 * 86_400)]
    series: Annotated[list[_Series], Field(min_length=1, max_length=12)]

    @model_validator(mode="after")
    def _is_even(self) -> _Figures:
        if len({len(one.points) for one in self.series}) != 1 or not self.series[0].points:
            raise ValueError("series: expected as many points in each, and one at least")
        return self


async def show(visit: Visit) -> web.StreamResponse:
    """A page of a plugin: a fragment in our layout, or a file as it is."""
    return await _pass_on(visit, b"")


async def send(visit: Visit) -> web.StreamResponse:
    """A form of a plugin's page: its fields go to the plugin as JSON. What it answers with a page is shown;
    else the visitor goes back to the page that he came from.
    """
    form = await visit.request.post()
    fields = {name: _text(value) for name, value in form.items() if name not in ("csrf", "back")}
    plugin = visit.request.match_info["plugin"]
    told = await _ask(visit, json.dumps(fields).encode())
    if isinstance(told, web.Response):
        return told
    done = told.status < 400
    noted = {name: value[:LONGEST_NOTED] for name, value in fields.items()}
    await visit.plane.audit.note_alone(
        f"plugin.{plugin}", visit.request.path, "done" if done else "refused", noted
    )
    if done and not told.is_html:
        raise web.HTTPSeeOther(local_path(str(form.get("back", f"/plugins/{plugin}"))), headers=FIELDS)
    return _shown(visit, told)


def _text(value: str | bytes | bytearray | web.FileField) -> str:
    """A field's text, or that of the file which was chosen."""
    if isinstance(value, web.FileField):
        return value.file.read().decode("utf-8-sig", "replace")
    return value if isinstance(value, str) else bytes(value).decode("utf-8", "replace")


async def _pass_on(visit: Visit, body: bytes) -> web.StreamResponse:
    told = await _ask(visit, body)
    return told if isinstance(told, web.Response) else _shown(visit, told)


def _shown(visit: Visit, told: Told) -> web.Response:
    """What a page answered, in our layout if it is one."""
    if told.status >= 400 and not told.is_html:
        return _problem(visit, told)
    if told.is_html:
        fragment = CHART.sub(partial(_drawn, visit), told.body.decode("utf-8", "replace"))
        csrf = visit.principal.csrf if visit.principal is not None else None
        fragment = fragment.replace(UNFILLED, UNFILLED.replace('""', f'"{html.escape(csrf or "")}"'))
        return visit.render("plugin.html", told.status, fragment=fragment, problem=None)
    return web.Response(body=told.body, headers={**FIELDS, **told.fields})


async def _ask(visit: Visit, body: bytes) -> Told | web.Response:
    """What the plugin answers, if who asks has the page's permission. Raises Denied."""
    assert visit.principal is not None
    if visit.principal.sites is not None:
        raise Denied("read")  # the shop's books are not those of some sites alone
    request, plugins = visit.request, visit.plane.plugins
    plugin, rest = request.match_info["plugin"], request.match_info.get("rest", "")
    try:
        page = await plugins.page(request.method, plugin, rest)
        if page is None:
            return visit.render("plugin.html", 404, fragment="", problem="404")
        if not plugins.may(visit.principal, page):
            raise Denied(page.permission)
        path = path_of(plugin, rest, request.query_string)
        return await plugins.ask(request.method, path, visit.principal.name, body, visit.language.code)
    except NotReached as error:
        return visit.render("plugin.html", 502, fragment="", problem=str(error))


def _problem(visit: Visit, told: Told) -> web.Response:
    try:
        detail = str(json.loads(told.body).get("detail", ""))
    except (ValueError, AttributeError):
        detail = ""
    status = told.status if told.status in (404, 409, 413, 422) else 502
    return visit.render("plugin.html", status, fragment="", problem=detail or f"{told.status}")


def _drawn(visit: Visit, found: re.Match[str]) -> str:
    try:
        figures = _Figures.model_validate_json(html.unescape(found[1]))
    except ValidationError:
        return ""
    return visit.fragment("parts/charts.html", charts=[chart(visit, figures)], zone_is_told=False)


def chart(visit: Visit, figures: _Figures) -> Chart:
    """`figures` as the dashboard's other charts are drawn; days are days, whosever clock is looked at."""
    times = Times(figures.start, figures.step, len(figures.series[0].points), UTC)
    language = visit.language
    return draw(
        figures.id,
        figures.title,
        figures.unit,
        [Series(one.name, one.colour, one.points) for one in figures.series],
        times,
        form="line",
        measure="rate",
        value=language.number,
        moment=partial(language.moment, zone=UTC, span=max(times.seconds, 2 * 86_400)),
    )
