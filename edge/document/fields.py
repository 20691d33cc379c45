"""The tables of a site's document that set and unset fields, and what in them is nobody's to touch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from edge.document.notation import Many, Table
from edge.http.hops import HOP_BY_HOP
from edge.http.lists import TOKEN
from edge.policy.patterns import Patterns
from edge.policy.traffic import AnswerFieldRule, Change, RequestFieldRule
from edge.policy.wording import FACTS, wording

LONGEST_VALUE = 4096
_EVERY = ("*",)
_FRAMING = "the connection's framing is the edge's own"
_TRACES = "the edge tells there itself what it did"
_OURS = {
    **dict.fromkeys(HOP_BY_HOP, "it ends at this hop"),
    "content-length": _FRAMING,
    **dict.fromkeys(("age", "cache-status", "cdn-loop", "date", "via"), _TRACES),
}
_OF_REQUESTS = {
    **_OURS,
    "host": "a rewrite's host says it",
    "expect": _FRAMING,
    **dict.fromkeys(
        (
            "accept-encoding", "content-encoding", "if-match", "if-modified-since", "if-none-match",
            "if-range", "if-unmodified-since", "range",
        ),
        "what the edge asks the origin about what it keeps depends on it",
    ),
}  # fmt: skip
_OF_ANSWERS = {
    **_OURS,
    **dict.fromkeys(("content-encoding", "content-range"), "the edge encodes and cuts bodies itself"),
    "location": "redirects make it, so that none leads round",
}
_ONLY_UNSET = dict.fromkeys(
    ("accept-ranges", "etag", "last-modified"), "it belongs to what is stored; it may be unset"
)
_BAD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")

Lines = dict[str, str]


def check_value(text: str) -> str:
    """`text` as a field's value. Raises ValueError."""
    if _BAD_VALUE.search(text) or len(text) > LONGEST_VALUE:
        raise ValueError(
            f"{LONGEST_VALUE} characters of latin-1 at most, without line breaks and other control characters"
        )
    return text.strip(" \t")


def _statuses(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and _range_of(value) is not None:
        return value
    raise ValueError("a status like 404, a class like 5xx, or a range like 502-504")


def _range_of(text: str) -> range | None:
    if re.fullmatch(r"[1-5]xx", text):
        return range(int(text[0]) * 100, int(text[0]) * 100 + 100)
    found = re.fullmatch(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?", text)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2] or found[1])
    return range(first, last + 1) if first <= last else None


Statuses = Annotated[
    str,
    BeforeValidator(_statuses),
    WithJsonSchema({"type": ["integer", "string"], "examples": [404, "5xx", "502-504"]}),
]


def statuses(said: Iterable[str]) -> frozenset[int]:
    """All the statuses that are meant."""
    return frozenset(status for text in said for status in _range_of(text) or ())


def _names(untouched: Mapping[str, str], names: Iterable[str]) -> None:
    """Raises ValueError where one of `names` is no field's, or not to be touched."""
    for name in names:
        why = untouched.get(name.lower())
        if why is None and name.lower().startswith("tepi-"):
            why = "Tepi-* is what the edge alone may say"
        if why is not None:
            raise ValueError(f"other fields than {name}: {why}")
        if TOKEN.fullmatch(name) is None:
            raise ValueError(f"names of fields; {name!r} is none (RFC 9110 §5.1)")


def _checked(lines: Lines, untouched: Mapping[str, str]) -> Lines:
    _names(untouched, lines)
    for name, text in lines.items():
        try:
            wording(check_value(text), FACTS)
        except ValueError as error:
            raise ValueError(f"for {name}: {error}") from None
    return lines


def paths_of(said: tuple[str, ...]) -> Patterns | None:
    """None where every path is meant."""
    return None if said == _EVERY else Patterns(said)


Paths = Annotated[tuple[str, ...], Many, Field(min_length=1)]


class RequestFieldsTable(Table):
    """What the origin is told by other fields than the visitor sent. All rules that fit hold, in order."""

    paths: Paths = Field(_EVERY, description="Paths, as patterns: /api/*.")
    set: Lines = Field(
        {},
        description="Fields that have exactly this value: text with $client, $country, $host, $id, $scheme.",
    )
    unset: Annotated[tuple[str, ...], Many] = Field((), description="Fields that are taken away.")

    @field_validator("set")
    @classmethod
    def _may_be_set(cls, lines: Lines) -> Lines:
        if any(name.lower() == "cookie" for name in lines):
            raise ValueError("other fields than Cookie, which may be unset: cookies are visitors' own")
        return _checked(lines, _OF_REQUESTS)

    @field_validator("unset")
    @classmethod
    def _may_be_unset(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        _names(_OF_REQUESTS, names)
        return names

    def rule(self) -> RequestFieldRule:
        """As policy sees it."""
        return RequestFieldRule(_change(self.set, {}, self.unset), paths_of(self.paths))


class AnswerFieldsTable(Table):
    """What visitors are told by other fields than the origin sent. All rules that fit hold, in order."""

    paths: Paths = Field(_EVERY, description="Paths, as patterns: /static/*.")
    status: Annotated[tuple[Statuses, ...], Many] = Field(
        (), description="Statuses, as 404, 5xx or 502-504; empty: all."
    )
    scheme: Literal["http", "https"] | None = Field(None, description="Only for visitors who come so.")
    set: Lines = Field(
        {},
        description="Fields that have exactly this value: text with $client, $country, $host, $id, $scheme.",
    )
    add: Lines = Field({}, description="Lines that come beside those that are there.")
    unset: Annotated[tuple[str, ...], Many] = Field((), description="Fields that are taken away.")

    @field_validator("set", "add")
    @classmethod
    def _may_be_set(cls, lines: Lines) -> Lines:
        return _checked(lines, {**_OF_ANSWERS, **_ONLY_UNSET})

    @field_validator("unset")
    @classmethod
    def _may_be_unset(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        _names(_OF_ANSWERS, names)
        return names

    def rule(self) -> AnswerFieldRule:
        """As policy sees it."""
        return AnswerFieldRule(
            _change(self.set, self.add, self.unset),
            paths_of(self.paths),
            statuses(self.status) if self.status else None,
            self.scheme or "",
        )


def _change(replace: Lines, add: Lines, unset: tuple[str, ...]) -> Change:
    return Change(
        tuple((name, wording(text.strip(" \t"), FACTS)) for name, text in replace.items()),
        tuple((name, wording(text.strip(" \t"), FACTS)) for name, text in add.items()),
        tuple(name.lower() for name in unset),
    )
