"""Finds plugins by their entry points, and says clearly what is wrong with one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel, ValidationError

from origin.contract import Plugin, PluginDefaults

GROUP = "tepi.plugins"
RESERVED = "hooks"  # webhooks of every provider have this path under the commerce prefix
LONGEST_VALUE = 80
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
        if not (isinstance(kind.settings, type) and issubclass(kind.settings, BaseModel)):
            raise BrokenPlugin(f"{where} is no plugin: its settings are no pydantic model")
        if kind.name != point.name:
            raise BrokenPlugin(f"{where} calls itself {kind.name!r}, expected {point.name!r}")
        if point.name == RESERVED:
            raise BrokenPlugin(f"{where}: the name {RESERVED} is taken by the inbox")
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
            raise BrokenPlugin("\n".join(_problems(name, error))) from None
    return validated


def _problems(plugin: str, error: ValidationError) -> Iterable[str]:
    for one in error.errors(include_url=False):
        path = ".".join(str(step) for step in (plugin, *one["loc"]))
        got = "nothing" if one["type"] == "missing" else repr(one["input"])[:LONGEST_VALUE]
        yield f"plugins.{path}: got {got}; {one['msg']}"


def check_declarations(plugins: Mapping[str, Plugin]) -> None:
    """Raises BrokenPlugin where a route is not its plugin's to take, or two plugins take the same."""
    routes: dict[tuple[str, str, bool], str] = {}
    providers: dict[str, str] = {}
    for name, plugin in plugins.items():
        for route in plugin.routes():
            where = f"plugin {name}: {route.method} {route.path}"
            if not route.path.startswith("/"):
                raise BrokenPlugin(f"{where}: expected a path that begins with /")
            if not route.at_root and route.path != f"/{name}" and not route.path.startswith(f"/{name}/"):
                raise BrokenPlugin(f"{where}: expected a path under /{name}/, or one at the root")
            key = (route.method, route.path, route.at_root)
            if key in routes:
                raise BrokenPlugin(f"{where}: plugin {routes[key]} has this route already")
            routes[key] = name
        for socket in plugin.sockets():
            where = f"plugin {name}: WebSocket {socket.path}"
            if not socket.path.startswith(f"/{name}/"):
                raise BrokenPlugin(f"{where}: expected a path under /{name}/")
            key = ("GET", socket.path, False)
            if key in routes:
                raise BrokenPlugin(f"{where}: plugin {routes[key]} has this route already")
            routes[key] = name
        for webhook in plugin.webhooks():
            taker = providers.setdefault(webhook.provider, name)
            if taker != name:
                raise BrokenPlugin(
                    f"plugin {name}: plugin {taker} takes {webhook.provider}'s webhooks already"
                )
