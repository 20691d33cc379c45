"""The tables of a site's document that tell its requests apart: what is in the key, never kept, a file."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from edge.document.notation import Many, Size, Table
from edge.document.pages import PagesTable
from edge.policy.patterns import Patterns
from edge.policy.rules import ClassRules, FileRule, KeyRules, QueryRules, SliceRules

FILE_TYPES = (
    "image/*",
    "font/*",
    "audio/*",
    "video/*",
    "text/css",
    "text/javascript",
    "application/javascript",
    "application/font-*",
    "application/wasm",
    "application/vnd.ms-fontobject",
)
Country = Annotated[str, Field(pattern="^[A-Z]{2}$")]


@cache
def tracking_parameters() -> tuple[str, ...]:
    """The list of tracking parameters that comes along, as patterns."""
    path = Path(__file__).parents[1] / "data" / "tracking.toml"
    families = tomllib.loads(path.read_text(encoding="utf-8"))["parameters"]
    return tuple(name for names in families.values() for name in names)


class QueryTable(Table):
    """Which query parameters count for the key. The origin gets the whole query all the same."""

    drop: Annotated[tuple[str, ...], Many] = Field((), description="Names that do not count, as patterns.")
    keep: Annotated[tuple[str, ...], Many] | None = Field(
        None, description="The only names that count, as patterns; unset, all that are not dropped."
    )
    tracking: Literal["strip", "keep"] = Field(
        "strip", description="Whether well-known tracking parameters (utm_*, gclid, fbclid, …) are dropped."
    )
    sort: bool = Field(False, description="Whether the order of differently named parameters does not count.")


class PlaceTable(Table):
    """Buckets of countries whose visitors get pages of their own: currencies, languages, tax zones."""

    buckets: dict[str, Annotated[tuple[Country, ...], Many]] = Field(
        description="Countries (ISO 3166-1 alpha-2) by the bucket's name."
    )
    otherwise: str = Field("other", description="The bucket of every other country.")

    @field_validator("buckets")
    @classmethod
    def _are_apart(cls, buckets: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        countries = [country for bucket in buckets.values() for country in bucket]
        twice = sorted({country for country in countries if countries.count(country) > 1})
        if twice:
            raise ValueError(f"buckets without countries in common; {', '.join(twice)} is in two")
        return buckets


class KeyTable(Table):
    """By what answers of one URL differ. The origin reads the values in the field Tepi-Variant."""

    query: QueryTable = Field(QueryTable(), description="Query parameters.")
    cookies: Annotated[tuple[str, ...], Many] = Field(
        (), description="Cookies whose values make variants, as patterns of names."
    )
    fields: Annotated[tuple[str, ...], Many] = Field(
        (), description="Request fields whose values make variants."
    )
    place: PlaceTable | None = Field(None, description="Buckets of countries.")
    device: bool = Field(False, description="Whether mobiles, tablets and desktops get pages of their own.")

    def rules(self) -> KeyRules:
        """As policy sees it."""
        tracking = tracking_parameters() if self.query.tracking == "strip" else ()
        buckets = {} if self.place is None else self.place.buckets
        return KeyRules(
            query=QueryRules(
                Patterns((*self.query.drop, *tracking)),
                None if self.query.keep is None else Patterns(self.query.keep),
                self.query.sort,
            ),
            cookies=Patterns(self.cookies),
            fields=tuple(name.lower() for name in self.fields),
            buckets=self.place is not None,
            bucket_of={country: name for name, countries in buckets.items() for country in countries},
            elsewhere="" if self.place is None else self.place.otherwise,
            device=self.device,
        )


class NeverTable(Table):
    """What is never cached, whatever the answer says."""

    paths: Annotated[tuple[str, ...], Many] = Field((), description="Paths, as patterns: /checkout/*.")
    query: Annotated[tuple[str, ...], Many] = Field(
        (), description="Names of query parameters, as patterns: add-to-cart."
    )


class FileTable(Table):
    """Files that are the same for everybody: asked for without cookies, kept without them.

    It holds only for answers of one of its types that are neither private nor no-store.
    """

    paths: Annotated[tuple[str, ...], Many, Field(min_length=1)] = Field(
        description="Paths, as patterns: /static/*."
    )
    types: Annotated[tuple[str, ...], Many, Field(min_length=1)] = Field(
        FILE_TYPES, description="Media types that such a file may have, as patterns."
    )
    seconds: int | None = Field(
        None, ge=0, le=31_536_000, description="The lifetime of those that come without one."
    )


class SlicesTable(Table):
    """Large bodies, kept and fetched in slices, so that a seek in a film costs one of them."""

    size: Annotated[Size, Field(ge=64 * 2**10, le=64 * 2**20)] = Field(2**20, description="Bytes of a slice.")
    over: Size | None = Field(
        None, description="Bodies of more bytes are sliced; unset, those over the store's max_object."
    )
    learn: bool = Field(
        True,
        description="Whether bodies are sliced whose origin shows a strong validator and Accept-Ranges.",
    )
    paths: Annotated[tuple[str, ...], Many] = Field(
        (), description="Paths, as patterns, of what is asked for in slices at once: /films/*."
    )

    def rules(self) -> SliceRules:
        """As policy sees it."""
        return SliceRules(self.size, self.over, self.learn, Patterns(self.paths))


def class_rules(
    never: NeverTable, files: tuple[FileTable, ...], bypass_cookies: tuple[str, ...], pages: PagesTable | None
) -> ClassRules:
    """The tables as policy sees them."""
    return ClassRules(
        never_paths=Patterns(never.paths),
        never_query=Patterns(never.query),
        files=tuple(FileRule(Patterns(one.paths), Patterns(one.types), one.seconds) for one in files),
        bypass_cookies=Patterns(bypass_cookies),
        pages=None if pages is None else pages.rules(),
    )
