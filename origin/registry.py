"""Finds plugins by their entry points, and says clearly what is wrong with one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel, ValidationError

from origin.contract import Plugin, PluginDefaults

GROUP = "tepi.plugins"
MEMBERS = ("name", "settings", *(name for name in vars(PluginDefaults) if not name.startswith("_")))


class BrokenPlugin(Exception):
    """A plugin that can't be used; the text names it, where it comes from and why."""


def installed() -> list[EntryPoint]:
    """The entry points of all installed plugins, by name; built-in ones are among them."""
    return sorted(entry_points(group=GROUP), key=lambda point: point.name)


def load(points: Iterable[EntryPoint]) -> dict[str, type[Plugin]]:
    """The plugins' classes by name, in order of their names. Raises BrokenPlugin."""
    found: dict[str, type[Plugin]] = {}
    for point in points:
        where = f"plugin {point.name} ({point.value})"
        try:
            kind = point.load()
        except Exception as error:
            raise BrokenPlugin(f"{where} can't be imported: {error}") from error
        missing = [name for name in MEMBERS if not hasattr(kind, name)]
        if missing:
            raise BrokenPlugin(f"{where} is no plugin: it lacks {', '.join(missing)}")
        if kind.name != point.name:
            raise BrokenPlugin(f"{where} calls itself {kind.name!r}, expected {point.name!r}")
        if point.name in found:
            raise BrokenPlugin(f"{where}: another plugin is called {point.name} too")
        found[point.name] = kind
    return found


def settings_of(
    plugins: Mapping[str, type[Plugin]], tables: Mapping[str, Mapping[str, Any]]
) -> dict[str, BaseModel]:
    """Each plugin's settings, validated. Raises BrokenPlugin for a wrong one, or for an unknown plugin's."""
    unknown = sorted(set(tables) - set(plugins))
    if unknown:
        raise BrokenPlugin(
            f"plugins.{unknown[0]}: no such plugin, expected one of {', '.join(plugins) or 'none'}"
        )
    validated = {}
    for name, kind in plugins.items():
        try:
            validated[name] = kind.settings.model_validate(tables.get(name, {}))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = ".".join(str(step) for step in first["loc"])
            raise BrokenPlugin(
                f"plugins.{name}.{path}: got {first['input']!r}, expected: {first['msg']}"
            ) from error
    return validated
