"""Risk's page in the dashboard: what waits for a person, and how well the rules do."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

HERE = Path(__file__).parent
TOLD = ("country", "card_country", "shipping_country", "network_kind", "travel_kmh", "cards_day")


class Front:
    """Renders the fragment."""

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

    def render(
        self,
        accept_language: str,
        waiting: Sequence[Mapping[str, Any]],
        rules: Sequence[Mapping[str, Any]],
        version: int,
    ) -> str:
        """The page in Indonesian where that is wished first, else in English."""
        texts = self._texts["id" if accept_language.startswith("id") else "en"]
        return self._jinja.get_template("front.html").render(
            t=SimpleNamespace(**texts),
            waiting=waiting,
            rules=rules,
            version=version,
            told=TOLD,
            percent=lambda share: "–" if share is None else f"{share:.1%}",
            moment=lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
