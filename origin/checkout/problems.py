"""Refusals as problem documents (RFC 9457): a type that programs can tell, and the field that was wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from origin.contract import Answer

LONGEST_VALUE = 80
URN = "urn:tepi:problem:"


@dataclass(frozen=True, slots=True)
class Wrong:
    """One field: where it stands (`lines.0.sku`), what was found, what would be accepted."""

    field: str
    got: str
    expected: str


@dataclass(slots=True)
class Problem(Exception):
    """A refusal that changed nothing. `more` are members of the document that are the type's own."""

    status: int
    kind: str
    detail: str
    errors: Sequence[Wrong] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    retry_after: int | None = None

    def answer(self) -> Answer:
        """The document."""
        body: dict[str, Any] = {
            "type": URN + self.kind,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }
        if self.errors:
            body["errors"] = [
                {"field": one.field, "got": one.got, "expected": one.expected} for one in self.errors
            ]
        fields = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return Answer(body, status=self.status, content_type="application/problem+json", fields=fields)


def wrong(name: str, got: object, expected: str, *, status: int = 422, kind: str = "invalid") -> Problem:
    """The refusal of one field."""
    shown = shortened(got)
    return Problem(status, kind, f"{name}: got {shown}, expected {expected}", (Wrong(name, shown, expected),))


def invalid(error: ValidationError) -> Problem:
    """Every field that a model refused."""
    found = [
        Wrong(
            ".".join(str(step) for step in one["loc"]) or "document",
            "nothing" if one["type"] == "missing" else shortened(one["input"]),
            one["msg"][:1].lower() + one["msg"][1:],
        )
        for one in error.errors(include_url=False)
    ]
    first = found[0]
    return Problem(422, "invalid", f"{first.field}: got {first.got}; {first.expected}", tuple(found))


def shortened(value: object) -> str:
    """`value` as a person is shown it."""
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"
