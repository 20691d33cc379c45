"""Writes docs/settings.md from the settings models themselves.

python -m docs.settings [--check]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from control.settings import ControlSettings
from edge.config import EdgeConfig
from edge.document.notation import Address
from edge.document.packs import Pack
from geo.dns.settings import DnsSettings
from origin.registry import installed, load
from origin.settings import OriginSettings

PAGE = Path(__file__).with_name("settings.md")
PARTS: Mapping[str, type[BaseModel]] = {
    "tepi edge": EdgeConfig,
    "tepi control": ControlSettings,
    "tepi dns": DnsSettings,
    "tepi origin": OriginSettings,
}
HEAD = """# Settings

Every part of Tepi is told what to do by one TOML file: `tepi edge --config FILE.toml`, and likewise
`tepi control`, `tepi dns` and `tepi origin`. An unknown key, a wrong type or an impossible value is refused
whole, with one line for each problem. Try an edge's file with `tepi config check FILE.toml`.

Secrets are never written into these files. They are referred to: `env:NAME` is an environment variable,
`file:PATH` a file.

<!-- Written by `make settings` from the settings models; edit those. -->
"""

PACK = """
Its tables `key`, `never`, `files` and `pages` are those of a site.
"""

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a table: what it takes, what it is without a word, and what it does."""

    path: str
    key: str
    takes: str
    default: str
    help: str


@dataclass(frozen=True, slots=True)
class Table:
    """One TOML table, `""` being the top of the file."""

    path: str
    help: str
    settings: tuple[Setting, ...]


def tables(model: type[BaseModel], path: str = "") -> tuple[Table, ...]:
    """The tables of a settings model, outer ones first. `path` is where they stand in the file."""
    return tuple(_tables(model, path, path))


def _tables(model: type[BaseModel], path: str, heading: str) -> Iterator[Table]:
    schema = model.model_json_schema()
    plain: list[Setting] = []
    inner: list[Table] = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        table, listed = _table_in(field.annotation)
        place = f"{path}.{key}" if path else key
        if table is not None and not _is_also_a_name(schema["properties"][key]):
            inner += _tables(table, place, f"[{place}]" if listed else place)
        else:
            shown = schema["properties"][key]
            plain.append(Setting(place, key, takes(shown), _default(field, shown), field.description or ""))
    yield Table(heading, " ".join((model.__doc__ or "").split()), tuple(plain))
    yield from inner


def _table_in(annotation: object) -> tuple[type[BaseModel] | None, bool]:
    """The model that `annotation` holds, if any, and whether there may be many of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    listed = get_origin(annotation) in (list, tuple)
    for argument in get_args(annotation):
        table, _ = _table_in(argument)
        if table is not None:
            return table, listed
    return None, False


def _is_also_a_name(field: Schema) -> bool:
    """Whether a table may be referred to, so that it is described in a place of its own."""
    return any("examples" in option for option in field.get("anyOf", [field]))


def takes(field: Schema) -> str:
    """What a setting accepts, in a few words."""
    if "anyOf" in field:
        return " or ".join(takes(option) for option in field["anyOf"] if option.get("type") != "null")
    if "enum" in field or "const" in field:
        return " or ".join(f"`{_toml(value)}`" for value in field.get("enum", [field.get("const")]))
    if field.get("examples"):
        return "like " + " or ".join(f"`{_toml(example)}`" for example in field["examples"])
    match field.get("type"):
        case "array":
            return f"list: {takes(field.get('items', {}))}"
        case "integer":
            return "whole number" + _bounds(field)
        case "number":
            return "number" + _bounds(field)
        case "boolean":
            return "`true` or `false`"
        case "object":
            return "table"
        case _:
            return "text"


def _bounds(field: Schema) -> str:
    if "minimum" in field and "maximum" in field:
        return f", {field['minimum']:,} to {field['maximum']:,}"
    if "minimum" in field:
        return f", {field['minimum']:,} or more"
    above = f", above {field['exclusiveMinimum']:,}" if "exclusiveMinimum" in field else ""
    return above + (f", up to {field['maximum']:,}" if "maximum" in field else "")


def _default(field: FieldInfo, schema: Schema) -> str:
    if field.is_required():
        return "**required**"
    if field.default in (None, "", {}):
        return "–"
    is_size = "256MiB" in schema.get("examples", ())
    return f"`{_toml(_size(field.default) if is_size else field.default)}`"


def _size(count: int) -> str | int:
    for unit, factor in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count and count % factor == 0:
            return f"{count // factor}{unit}"
    return count


def _toml(value: object) -> str:
    if isinstance(value, list | tuple) and not isinstance(value, Address):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return json.dumps(str(value) if isinstance(value, Address) else value, ensure_ascii=False)


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for title, model in PARTS.items():
        parts += [f"\n## {title}\n", *(_section(table) for table in tables(model))]
    for name, plugin in load(installed()).items():
        found = [table for table in tables(plugin.settings, f"plugins.{name}") if table.settings]
        if found:
            parts += [f"\n## Plugin {name} (`tepi origin`)\n", *(_section(table) for table in found)]
    parts += ["\n## A platform's pack\n", _section(tables(Pack)[0]), PACK]
    return "".join(parts)


def _section(table: Table) -> str:
    lines = [f"\n### `[{table.path}]`\n"] if table.path else []
    lines += [f"\n{table.help}\n"] if table.help else []
    if table.settings:
        lines += ["\n| setting | takes | default | |\n|---|---|---|---|\n"]
        lines += [f"| {' | '.join(_cells(setting))} |\n" for setting in table.settings]
    return "".join(lines)


def _cells(setting: Setting) -> tuple[str, ...]:
    cells = (f"`{setting.key}`", setting.takes, setting.default, setting.help)
    return tuple(cell.replace("|", "\\|") for cell in cells)


def main(words: list[str]) -> int:
    """Writes the page; with --check only says whether it is up to date."""
    text = page()
    if "--check" in words:
        if PAGE.read_text(encoding="utf-8") == text:
            return 0
        print(f"{PAGE} is stale: run `make settings`", file=sys.stderr)
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
