"""Plugins are found by entry points; a broken one is named with what is wrong."""

from __future__ import annotations

import sys
import types
from importlib.metadata import EntryPoint

import pytest
from pydantic import BaseModel, Field

from origin.contract import GET, POST, Answer, Call, PluginDefaults, Route, Webhook
from origin.registry import BrokenPlugin, check_declarations, installed, load, settings_of
from tests.origin.standing import Bare, NoSettings


class TableOfOne(BaseModel):
    """One setting."""

    days: int = Field(30, ge=1, description="How long.")


class Other(PluginDefaults):
    """Another plugin."""

    name = "other"
    settings = TableOfOne


class Halfway:
    """What lacks nearly everything."""

    name = "halfway"


class Untabled(PluginDefaults):
    """What has no settings model."""

    name = "untabled"
    settings = dict


MODULE = types.ModuleType("plugins_of_strangers")
MODULE.__dict__.update(Bare=Bare, Other=Other, Halfway=Halfway, Untabled=Untabled)


@pytest.fixture(autouse=True)
def strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, MODULE.__name__, MODULE)


def point(name: str, kind: str = "") -> EntryPoint:
    return EntryPoint(name, f"{MODULE.__name__}:{kind or name.title()}", "tepi.plugins")


def test_the_storefront_comes_by_its_entry_point_like_a_strangers_plugin() -> None:
    assert "storefront" in [one.name for one in installed()]
    assert load(installed())["storefront"].name == "storefront"


def test_plugins_come_in_the_order_of_their_names() -> None:
    names = [one.name for one in installed()]
    assert names == sorted(names)
    assert list(load([point("bare"), point("other")])) == ["bare", "other"]


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        pytest.param(
            [point("bare", "Gone")], r"plugin bare \(plugins_of_strangers:Gone\) can't be imported", id="gone"
        ),
        pytest.param(
            [EntryPoint("x", "no_such_module:X", "tepi.plugins")], "can't be imported: No module", id="module"
        ),
        pytest.param([point("halfway")], "is no plugin: it lacks settings, start, stop, routes", id="lacks"),
        pytest.param([point("untabled")], "its settings are no pydantic model", id="settings"),
        pytest.param([point("mine", "Bare")], "calls itself 'bare', expected 'mine'", id="name"),
        pytest.param([point("bare"), point("bare")], "another plugin is called bare too", id="twice"),
    ],
)
def test_a_broken_plugin_is_named_with_what_is_wrong(points: list[EntryPoint], sentence: str) -> None:
    with pytest.raises(BrokenPlugin, match=sentence):
        load(points)


def test_settings_have_defaults_and_are_validated() -> None:
    plugins = {"bare": Bare, "other": Other}
    assert settings_of(plugins, {}) == {"bare": NoSettings(), "other": TableOfOne(days=30)}
    assert settings_of(plugins, {"other": {"days": 2}})["other"] == TableOfOne(days=2)


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"other": {"days": 0}}, r"plugins\.other\.days: got 0; .*greater than or equal to 1"),
        ({"other": {"days": "x"}}, r"plugins\.other\.days: got 'x'; .*integer"),
        ({"ohter": {}}, r"plugins\.ohter: no such plugin, expected one of bare, other"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(tables: dict[str, dict[str, object]], sentence: str) -> None:
    with pytest.raises(BrokenPlugin, match=sentence):
        settings_of({"bare": Bare, "other": Other}, tables)


async def nothing(*_: object) -> Answer:
    return Answer("")


async def taken(call: Call) -> Answer:
    return Answer("")


def declaring(name: str, *routes: Route, webhooks: tuple[str, ...] = ()) -> PluginDefaults:
    """A plugin that declares just this."""

    class Declared(PluginDefaults):
        def routes(self) -> tuple[Route, ...]:
            return routes

        def webhooks(self) -> list[Webhook]:
            return [Webhook(provider, nothing) for provider in webhooks]  # type: ignore[arg-type]

    Declared.name = name  # type: ignore[attr-defined]
    return Declared()


@pytest.mark.parametrize(
    ("plugins", "sentence"),
    [
        pytest.param([declaring("a", GET("a", taken))], "begins with /", id="relative"),
        pytest.param([declaring("a", GET("/b/x", taken))], "expected a path under /a/", id="anothers"),
        pytest.param([declaring("a", GET("/ab", taken))], "expected a path under /a/", id="lookalike"),
        pytest.param(
            [declaring("a", GET("/a", taken), GET("/a", taken))], "GET /a: plugin a has", id="own-twice"
        ),
        pytest.param(
            [declaring("a", GET("/", taken, at_root=True)), declaring("b", GET("/", taken, at_root=True))],
            "plugin b: GET /: plugin a has this route already",
            id="two-homes",
        ),
        pytest.param(
            [declaring("a", webhooks=("stripe",)), declaring("b", webhooks=("stripe",))],
            "plugin b: plugin a takes stripe's webhooks already",
            id="webhooks",
        ),
    ],
)
def test_clashing_declarations_are_refused(plugins: list[PluginDefaults], sentence: str) -> None:
    with pytest.raises(BrokenPlugin, match=sentence):
        check_declarations({one.name: one for one in plugins})  # type: ignore[attr-defined]


def test_different_methods_and_roots_do_not_clash() -> None:
    one = declaring("a", GET("/a", taken), POST("/a", taken), GET("/a", taken, at_root=True), webhooks=("x",))
    check_declarations({"a": one, "b": declaring("b", GET("/b/{n}", taken), webhooks=("y",))})  # type: ignore[dict-item]


def test_the_inboxs_name_is_not_a_plugins() -> None:
    with pytest.raises(BrokenPlugin, match="the name hooks is taken by the inbox"):
        hooks = type("Hooks", (Bare,), {"name": "hooks"})
        MODULE.__dict__["Hooks"] = hooks
        load([point("hooks")])
