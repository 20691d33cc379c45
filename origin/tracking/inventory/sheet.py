"""Lists of stock as people keep them: CSV with a heading. What is wrong with which row is said. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

SKU = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
CODE = r"^[a-z0-9][a-z0-9-]{0,31}$"
MOST_PIECES = 10**6
MOST_ROWS = 50_000
NEEDED = ("sku", "location", "quantity")


class Place(BaseModel):
    """A location."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=CODE)
    name: str = Field(min_length=1, max_length=120)
    kind: Literal["warehouse", "centre", "shop"] = "warehouse"
    country: str = Field("ID", pattern=r"^[A-Z]{2}$")
    latitude: float | None = Field(None, ge=-90, le=90)
    longitude: float | None = Field(None, ge=-180, le=180)


class Line(BaseModel):
    """How many pieces of a SKU lie at a location. What is not said stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sku: str = Field(pattern=SKU)
    location: str = Field(pattern=CODE)
    quantity: int = Field(ge=0, le=MOST_PIECES)
    safety: int | None = Field(None, ge=0, le=MOST_PIECES)
    low: int | None = Field(None, ge=0, le=MOST_PIECES)
    reorder_point: int | None = Field(None, ge=0, le=MOST_PIECES)
    gtin: str | None = Field(None, pattern=r"^[0-9]{8}$|^[0-9]{12,14}$")


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a row (the heading is row 1)."""

    row: int
    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A list as read: its good rows with their numbers, and what is wrong with the others."""

    lines: tuple[tuple[int, Line], ...]
    wrong: tuple[Wrong, ...]


def read_sheet(text: str) -> Sheet:
    """The list in `text`, separated by commas or semicolons."""
    heading = text.lstrip("\ufeff").partition("\n")[0]
    rows = csv.reader(
        io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=";" if ";" in heading else ",", strict=True
    )
    try:
        names = [name.strip().lower() for name in next(rows, [])]
        unfit = _heading(names)
        if unfit is not None:
            return Sheet((), (unfit,))
        return _read(names, rows)
    except csv.Error as error:
        return Sheet((), (Wrong(rows.line_num, "row", str(error)),))


def _heading(names: list[str]) -> Wrong | None:
    missing = [name for name in NEEDED if name not in names]
    if missing:
        return Wrong(1, missing[0], f"got no such column, expected at least {', '.join(NEEDED)}")
    unknown = [name for name in names if name not in Line.model_fields]
    if unknown:
        return Wrong(1, unknown[0][:40], f"no such column, expected of {', '.join(Line.model_fields)}")
    if len(set(names)) < len(names):
        return Wrong(1, "heading", "got a column twice, expected each once")
    return None


def _read(names: list[str], rows: Iterable[list[str]]) -> Sheet:
    lines: list[tuple[int, Line]] = []
    wrong: list[Wrong] = []
    seen: dict[tuple[str, str], int] = {}
    for number, cells in enumerate(rows, 2):
        if number > MOST_ROWS + 1:
            wrong.append(Wrong(number, "row", f"expected up to {MOST_ROWS} rows in one list"))
            break
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(names):
            wrong.append(Wrong(number, "row", f"got {len(cells)} cells, expected {len(names)}"))
            continue
        said = {name: cell.strip() for name, cell in zip(names, cells, strict=True) if cell.strip()}
        line = _line(number, said)
        if isinstance(line, list):
            wrong += line
        elif (first := seen.setdefault((line.sku, line.location), number)) != number:
            wrong.append(Wrong(number, "sku", f"{line.sku} at {line.location} stands in row {first} already"))
        else:
            lines.append((number, line))
    return Sheet(tuple(lines), tuple(wrong))


def _line(number: int, said: Mapping[str, str]) -> Line | list[Wrong]:
    for name in ("quantity", "safety", "low", "reorder_point"):
        if name in said and not re.fullmatch(r"-?[0-9]{1,12}", said[name]):
            return [Wrong(number, name, f"got {said[name][:40]!r}, expected whole pieces")]
    try:
        return Line.model_validate(said)
    except ValidationError as error:
        return [
            Wrong(number, str(one["loc"][0]), f"got {said.get(str(one['loc'][0]), '')[:40]!r}; {one['msg']}")
            for one in error.errors(include_url=False)
        ]
