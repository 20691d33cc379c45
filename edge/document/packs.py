"""Platform packs: what is known of a shop system, as data that anybody can write."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema

from edge.document.caching import FileTable, KeyTable, NeverTable
from edge.document.files import read_toml
from edge.document.notation import Many, Name, Table
from edge.document.pages import PagesTable, TokenTable
from edge.document.problems import Problem, Refused, problems_of

PACKS = Path(__file__).parents[1] / "data" / "packs"
FILE = "file:"
TABLES = ("key", "never", "files", "bypass_cookies", "pages")
T = TypeVar("T", bound=Table)


class Pack(Table):
    """What is known of a shop system. A site that names it has its tables, and adds its own to them."""

    name: Name = Field(description="A short name.")
    title: str = Field(min_length=1, max_length=80, description="What the shop system calls itself.")
    version: int = Field(1, ge=1, description="Counts up with every change.")
    checked: Annotated[tuple[str, ...], Many] = Field(
        (), description="What it was checked against: releases, documents, source files."
    )
    notes: Annotated[tuple[str, ...], Many] = Field(
        (), description="What the shop's operator must know or set up."
    )
    key: KeyTable = Field(KeyTable(), description="By what answers of one URL differ.")
    never: NeverTable = Field(NeverTable(), description="What is never cached.")
    files: Annotated[tuple[FileTable, ...], Many] = Field(
        (), description="Files that are the same for everybody."
    )
    bypass_cookies: Annotated[tuple[str, ...], Many] = Field(
        (), description="Cookies whose bearers get pages of their own, as patterns of names."
    )
    pages: PagesTable | None = Field(None, description="How pages are shared.")

    def under(self, site: T) -> T:
        """`site` with this pack's tables under its own."""
        tables = {
            name: _joined(
                getattr(self, name), getattr(site, name), field.default, name in site.model_fields_set
            )
            for name, field in type(self).model_fields.items()
            if name in TABLES
        }
        return site.model_copy(update=tables)

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"


@cache
def bundled() -> tuple[str, ...]:
    """The names of the packs that come along."""
    return tuple(sorted(path.stem for path in PACKS.glob("*.toml")))


def source(name: str) -> str:
    """The file of the pack called `name`. Raises ValueError with the names of those that there are."""
    if name not in bundled():
        raise ValueError(f"one of {', '.join(bundled())}, or a pack's own table")
    return (PACKS / f"{name}.toml").read_text(encoding="utf-8")


def document(name: str) -> dict[str, Any]:
    """The pack called `name`, as it is written. Raises ValueError."""
    return tomllib.loads(source(name))


def read(path: Path) -> dict[str, Any]:
    """The pack in a file of the operator's, as it is written. Raises Refused."""
    written = read_toml(path)
    try:
        Pack.model_validate(written)
    except ValidationError as error:
        raise Refused(problems_of(error, Pack)) from None
    return written


def embedded(site: dict[str, Any], here: Path | None = None) -> dict[str, Any]:
    """A site's document with its platform's pack written out, so that it means the same wherever it goes.

    `here` is the directory from which `file:` is read; None: a document from elsewhere, which may name no
    file of ours. What is no pack at all is left for the site's validation. Raises Refused.
    """
    named = site.get("platform")
    if not isinstance(named, str):
        return site
    if named in bundled():
        return {**site, "platform": document(named)}
    if here is None or not named.startswith(FILE):
        return site
    try:
        return {**site, "platform": read(here / named.removeprefix(FILE))}
    except Refused as refused:
        raise Refused(
            Problem(f"platform.{problem.field}".rstrip("."), problem.got, problem.expected)
            for problem in refused.problems
        ) from None


def _known(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.startswith(FILE):
        raise ValueError(
            "the name of a pack or a pack's own table: only a file that this machine reads itself may name "
            "another; `tepi site add --platform FILE` writes it into the document"
        )
    return document(value)


Platform = Annotated[
    Pack,
    BeforeValidator(_known),
    WithJsonSchema({"type": ["string", "object"], "examples": ["woocommerce", "file:my-shop.toml"]}),
]


def joined(pack: T, site: T) -> T:
    """The pack's table with the site's on top: the site's lists come before the pack's, its settings win.

    A list that is not empty without a word (`types`) is a setting like any other.
    """
    values = {
        name: _joined(getattr(pack, name), getattr(site, name), field.default, name in site.model_fields_set)
        for name, field in type(site).model_fields.items()
    }
    return site.model_copy(update=values)


def _joined(ours: Any, own: Any, default: Any, said: bool) -> Any:
    if isinstance(ours, Table) and isinstance(own, Table):
        return joined(ours, own)
    if not said or own is None:
        return ours
    if isinstance(ours, tuple) and isinstance(own, tuple) and not default:
        named = {one.name for one in own if isinstance(one, TokenTable)}
        rest = (one for one in ours if one not in own and getattr(one, "name", None) not in named)
        return (*own, *rest)
    return own
