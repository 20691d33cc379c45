"""Every setting is documented: the page is written from the models, and none of them is silent."""

from __future__ import annotations

from pydantic import BaseModel, Field

from docs.settings import PAGE, PARTS, Setting, page, tables
from origin.registry import installed, load


def all_settings() -> list[tuple[str, Setting]]:
    parts: dict[str, tuple[type[BaseModel], str]] = {title: (model, "") for title, model in PARTS.items()}
    for name, plugin in load(installed()).items():
        parts[f"plugin {name}"] = (plugin.settings, f"plugins.{name}")
    return [
        (title, setting)
        for title, (model, path) in parts.items()
        for table in tables(model, path)
        for setting in table.settings
    ]


def test_every_setting_says_what_it_does() -> None:
    silent = [
        f"{part}: {setting.path}"
        for part, setting in all_settings()
        if not setting.help.endswith(".") or not setting.takes
    ]
    assert silent == [], "Field(description=...) with a sentence"


def test_the_settings_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "docs/settings.md is stale: run `make settings`"


def test_tables_lists_and_bounds_come_out_as_an_operator_would_write_them() -> None:
    class Door(BaseModel):
        """A way in."""

        width: int = Field(2, ge=1, le=9, description="Metres.")

    class House(BaseModel):
        """Where one lives."""

        doors: tuple[Door, ...] = Field((), description="Ways in.")
        cellar: Door | None = Field(None, description="A way down.")
        street: str = Field(description="Its street.")

    top, doors, cellar = tables(House)
    assert [table.path for table in (top, doors, cellar)] == ["", "[doors]", "cellar"]
    assert top.settings == (Setting("street", "street", "text", "**required**", "Its street."),)
    assert doors.settings == (Setting("doors.width", "width", "whole number, 1 to 9", "`2`", "Metres."),)
