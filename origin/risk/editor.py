"""The page on which rules are written, tried and kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from origin.contract import Answer, Call
from origin.exchange import wants_html
from origin.risk.desk import Desk
from origin.risk.facts import DAY, MEANINGS
from origin.risk.front import Front
from origin.risk.notation import as_toml, from_toml
from origin.risk.reports import Decided, tried
from origin.risk.rules import DEFAULT, RuleSet

LONGEST = 250_000
USUAL_DAYS = "30"


class _Edit(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    do: Literal["try", "keep"]
    rules: str = Field(max_length=LONGEST)
    days: str = Field(USUAL_DAYS, pattern="^[0-9]{1,4}$")


@dataclass(frozen=True, slots=True)
class Editor:
    """Shows rules of any version; tries them on `history` since a moment; keeps them as a new version."""

    desk: Desk
    front: Front
    now: Callable[[], float]
    history: Callable[[float], Awaitable[list[Decided]]]

    async def show(self, call: Call) -> Answer:
        """The rules of now, or of another version, to be changed."""
        version, rules = await self.desk.rules()
        wanted = call.request.query.get("version")
        if wanted is not None:
            found = await self._of_version(wanted)
            if found is None:
                return Answer(
                    {"detail": f"version: got {wanted[:20]!r}, expected one that was kept"}, status=404
                )
            rules = found
        if wants_html(call):
            return await self._page(call, as_toml(rules.rules))
        versions = [
            {"version": one["version"], "made_by": one["made_by"], "made_at": one["made_at"]}
            for one in await self.desk.versions()
        ]
        return Answer(
            {"version": version, **rules.model_dump(mode="json"), "versions": versions, "facts": MEANINGS}
        )

    async def edit(self, call: Call) -> Answer:
        """Takes the page's form. Rules that can't be taken come back with what is wrong; nothing changes."""
        try:
            asked = _Edit.model_validate_json(await call.request.read())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            return Answer({"detail": f"{first['loc'][0]}: {first['msg']}"}, status=422)
        text = asked.rules.replace("\r\n", "\n")
        try:
            rules = from_toml(text)
        except ValueError as error:
            return await self._page(call, text, problem=str(error), days=asked.days, status=422)
        if asked.do == "keep":
            return Answer({"version": await self.desk.keep(rules, call.user or "somebody at the origin")})
        since = self.now() - max(1, int(asked.days)) * DAY
        trial = tried(rules.rules, await self.history(since))
        return await self._page(call, text, trial=trial, days=asked.days)

    async def _of_version(self, wanted: str) -> RuleSet | None:
        if wanted == "0":
            return DEFAULT
        kept = {str(one["version"]): one for one in await self.desk.versions()}
        return RuleSet.model_validate({"rules": kept[wanted]["rules"]}) if wanted in kept else None

    async def _page(
        self,
        call: Call,
        text: str,
        *,
        problem: str = "",
        trial: dict[str, Any] | None = None,
        days: str = USUAL_DAYS,
        status: int = 200,
    ) -> Answer:
        version, _ = await self.desk.rules()
        html = self.front.rules(
            call,
            text=text,
            problem=problem,
            trial=trial,
            days=days,
            version=version,
            versions=await self.desk.versions(),
            facts=MEANINGS,
        )
        return Answer(html, status=status)
