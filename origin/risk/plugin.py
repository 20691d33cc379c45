"""Risk as a plugin: its declaration, and what the dashboard and commands ask."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

import click
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geo.lookup import shipped_centres
from origin.contract import Answer, Call, Host, Page, Plugin, PluginDefaults
from origin.risk.commands import risk
from origin.risk.desk import Desk, Networks, NoSuchDecision
from origin.risk.editor import Editor
from origin.risk.facts import DAY
from origin.risk.front import Front
from origin.risk.reports import described, records, tried
from origin.risk.rules import RuleSet

HERE = Path(__file__).parent
PERMISSION = "risk.review"
MOST_HISTORY = 50_000
M = TypeVar("M", bound=BaseModel)


class RiskSettings(BaseModel):
    """What the operator says of networks; rules are kept in the database, by version."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    hosting: list[int] = Field(
        [],
        description="Numbers of further autonomous systems that are data centres, beside those Tepi knows.",
    )
    homes: list[int] = Field(
        [], description="Numbers of autonomous systems that are never taken for data centres or proxies."
    )


class _Review(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    approved: bool | Literal["yes", "no"]  # forms say words
    by: str = Field("", max_length=120)  # where no user is signed

    @property
    def is_approved(self) -> bool:
        """What is meant."""
        return self.approved in (True, "yes")


class _Rules(RuleSet):
    by: str = Field("", max_length=120)


@dataclass(slots=True)
class RiskPlugin(PluginDefaults):
    """Who may pay: rules over what the edge and the provider know of an attempt."""

    name: ClassVar[str] = "risk"
    settings: ClassVar[type[BaseModel]] = RiskSettings
    desk: Desk = field(init=False)
    _page: Front = field(init=False)
    _editor: Editor = field(init=False)
    _host: Host = field(init=False)

    async def start(self, host: Host) -> None:
        """Offers risk to other plugins."""
        settings = host.settings
        assert isinstance(settings, RiskSettings)
        networks = Networks(frozenset(settings.hosting), frozenset(settings.homes))
        self._host = host
        self._page = Front()
        self.desk = Desk(host, networks, shipped_centres())
        self._editor = Editor(self.desk, self._page, host.now, self._history)
        host.offer("risk", self.desk)

    def migrations(self) -> Path:
        """Rules and decisions."""
        return HERE / "migrations"

    def emits(self) -> Iterable[str]:
        """What a person decided."""
        yield "risk.reviewed"

    def permissions(self) -> Iterable[str]:
        """Who may review, and change rules."""
        yield PERMISSION

    def commands(self) -> Iterable[click.Command]:
        """`tepi origin risk …`."""
        yield risk

    def pages(self) -> Iterable[Page]:
        """Rules, their trial, the queue, and how well they do, as pages and as JSON."""
        rules, queue = {"en": "Rules", "id": "Aturan"}, {"en": "Reviews", "id": "Tinjauan"}
        report = {"en": "Risk", "id": "Risiko"}
        yield Page("", report, self._front, PERMISSION)
        yield Page("/rules", rules, self._editor.show, PERMISSION)
        yield Page("/rules", rules, self._keep_rules, PERMISSION, method="POST")
        yield Page("/rules/edit", rules, self._editor.edit, PERMISSION, method="POST")
        yield Page("/rules/try", rules, self._try_rules, PERMISSION, method="POST")
        yield Page("/queue", queue, self._queue, PERMISSION)
        yield Page("/orders/{order}", queue, self._order, PERMISSION)
        yield Page("/decisions/{id}", queue, self._review, PERMISSION, method="POST")
        yield Page("/report", report, self._report, PERMISSION)

    async def _front(self, call: Call) -> Answer:
        version, _ = await self.desk.rules()
        found = records(await self._history(self._host.now() - 30 * DAY))
        waiting = await self.desk.waiting()
        return Answer(self._page.render(call, waiting, [described(one) for one in found], version))

    async def _keep_rules(self, call: Call) -> Answer:
        asked = await _read(call, _Rules)
        if isinstance(asked, Answer):
            return asked
        version = await self.desk.keep(RuleSet(rules=asked.rules), call.user or asked.by)
        return Answer({"version": version})

    async def _try_rules(self, call: Call) -> Answer:
        asked = await _read(call, _Rules)
        if isinstance(asked, Answer):
            return asked
        since = self._since(call)
        return since if isinstance(since, Answer) else Answer(tried(asked.rules, await self._history(since)))

    async def _queue(self, _call: Call) -> Answer:
        return Answer({"waiting": [_shown(one) for one in await self.desk.waiting()]})

    async def _order(self, call: Call) -> Answer:
        found = await self.desk.of_order(call.match["order"])
        if not found:
            return Answer(
                {"detail": f"order: got {call.match['order'][:40]!r}, expected one that was assessed"},
                status=404,
            )
        return Answer({"decisions": [_shown(one) for one in found]})

    async def _review(self, call: Call) -> Answer:
        asked = await _read(call, _Review)
        if isinstance(asked, Answer):
            return asked
        by = call.user or asked.by
        if not by:
            return Answer({"detail": "by: got nothing, expected who decided"}, status=422)
        try:
            await self.desk.review(call.match["id"], asked.is_approved, by)
        except NoSuchDecision as error:
            return Answer({"detail": str(error)}, status=404)
        return Answer({"id": call.match["id"], "approved": asked.is_approved})

    async def _report(self, call: Call) -> Answer:
        since = self._since(call)
        if isinstance(since, Answer):
            return since
        return Answer(
            {"since": since, "rules": [described(one) for one in records(await self._history(since))]}
        )

    async def _history(self, since: float) -> list[Any]:
        return await self.desk.history(since, MOST_HISTORY)

    def _since(self, call: Call) -> float | Answer:
        days = call.request.query.get("days", "30")
        if not days.isascii() or not days.isdigit() or not 1 <= int(days) <= 3660:
            return Answer({"detail": f"days: got {days[:20]!r}, expected 1 to 3660"}, status=422)
        return self._host.now() - int(days) * DAY


async def _read(call: Call, model: type[M]) -> M | Answer:
    """The body as `model`, or the answer that says what is wrong with it."""
    try:
        return model.model_validate_json(await call.request.read())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(step) for step in first["loc"]) or "document"
        return Answer({"detail": f"{path}: {first['msg']}"}, status=422)


def _shown(row: Any) -> dict[str, Any]:
    hidden = ("number", "digest", "device", "email", "card")
    return {name: value for name, value in row.items() if name not in hidden}


_: type[Plugin] = RiskPlugin
