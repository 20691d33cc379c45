"""Risk's pages in the dashboard: what waits for a person, how well the rules do, and the rules."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from origin.contract import Call
from origin.exchange import language_of

HERE = Path(__file__).parent
TOLD = ("country", "card_country", "shipping_country", "network_kind", "travel_kmh", "cards_day")


class Front:
    """Renders fragments in the language that is wished."""

    def __init__(self) -> None:
        self._texts: dict[str, dict[str, Any]] = tomllib.loads(
            (HERE / "data" / "texts.toml").read_text(encoding="utf-8")
        )
        self._jinja = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )

    def rules(self, call: Call, **values: object) -> str:
        """The page on which rules are written."""
        return self._rendered(call, "rules.html", **values)

    def render(
        self,
        call: Call,
        waiting: Sequence[Mapping[str, Any]],
        rules: Sequence[Mapping[str, Any]],
        version: int,
    ) -> str:
        """What waits, and how well the rules do."""
        return self._rendered(call, "front.html", waiting=waiting, rules=rules, version=version, told=TOLD)

    def _rendered(self, call: Call, template: str, **values: object) -> str:
        return self._jinja.get_template(template).render(
            t=SimpleNamespace(**self._texts[language_of(call)]),
            percent=lambda share: "–" if share is None else f"{share:.1%}",
            moment=lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
            **values,
        )
