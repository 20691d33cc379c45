"""Finds payment providers by their entry points, and opens those that the operator has an account at."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Any

from pydantic import ValidationError

from origin.checkout.providers.contract import GROUP, Provider, Tools


@cache
def kinds() -> Mapping[str, Any]:
    """Where each installed provider's class is, by its name; it is imported when it is asked for."""
    return {point.name: point for point in entry_points(group=GROUP)}


def opened(tables: Mapping[str, Mapping[str, Any]], tools: Tools) -> dict[str, Provider]:
    """The accounts in `tables`, by provider. Raises ValueError, naming the setting and never a secret."""
    found: dict[str, Provider] = {}
    for name, table in tables.items():
        if name not in kinds():
            raise ValueError(
                f"providers.{name}: no such provider, expected one of {', '.join(sorted(kinds()))}"
            )
        try:
            kind = kinds()[name].load()
        except ImportError as error:
            raise ValueError(f"providers.{name}: {error}; install Tepi with [payments]") from error
        try:
            settings = kind.settings.model_validate(dict(table))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(step) for step in (name, *first["loc"]))
            raise ValueError(f"providers.{place}: {first['msg']}") from None
        found[name] = kind(settings, tools)
    return found
