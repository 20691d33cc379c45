"""How the ledger's pages and documents are written."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from origin.contract import Call, Money
from origin.exchange import language_of
from origin.money import decimal

HERE = Path(__file__).parent


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

    def texts(self, call: Call) -> dict[str, Any]:
        """The words of the language."""
        return self._texts[language_of(call)]

    def render(self, call: Call, template: str, **values: object) -> str:
        """A fragment."""
        texts = SimpleNamespace(**self.texts(call))
        return self._jinja.get_template(template).render(t=texts, shown=shown, **values)


def money_document(amount: Money) -> dict[str, Any]:
    """An amount as documents have it: minor units, and whole ones as a text."""
    return {"minor": amount.minor, "currency": amount.currency, "text": str(decimal(amount))}


def shown(minor: int, currency: str) -> str:
    """An amount in whole units, as tables have it."""
    return f"{decimal(Money(minor, currency)):,}"
