"""Byte ranges (RFC 9110 §14): what is asked, and which parts of a body that is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge.http.lists import members

MAX_RANGES = 16  # more is a way to make an answer costly (RFC 9110 §17.15)
_SPEC = re.compile(r"(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `first` to `last`, both included."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    @property
    def end(self) -> int:
        """The offset after the last byte."""
        return self.last + 1

    def of(self, total: int) -> str:
        """As Content-Range (§14.4)."""
        return f"bytes {self.first}-{self.last}/{total}"


@dataclass(frozen=True, slots=True)
class Spec:
    """A range as asked for (§14.1.1): without `first` the last `last` bytes, without `last` to the end."""

    first: int | None
    last: int | None

    def of(self, total: int) -> Part | None:
        """The part of a body of `total` bytes that is meant; None if there is none."""
        if self.first is None:
            suffix = min(self.last or 0, total)
            return Part(total - suffix, total - 1) if suffix else None
        if self.first >= total:
            return None
        return Part(self.first, total - 1 if self.last is None else min(self.last, total - 1))


def parse_ranges(value: str) -> tuple[Spec, ...] | None:
    """The ranges in a Range field; None if it is to be ignored, for it is malformed or of another unit.

    So is one with more ranges than an honest client would ask for (§14.2).
    """
    unit, equals, text = value.partition("=")
    if not equals or unit.strip(" \t").lower() != "bytes":
        return None
    specs = members(text)
    if not specs or len(specs) > MAX_RANGES:
        return None
    found: list[Spec] = []
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        if match is None or match.group(0) == "-":
            return None
        first, last = (int(text) if text else None for text in match.groups())
        if first is not None and last is not None and first > last:
            return None
        found.append(Spec(first, last))
    return tuple(found)


def satisfiable(value: str, total: int) -> tuple[Part, ...] | None:
    """The parts of a body of `total` bytes that Range `value` selects, those that overlap made one.

    Empty: none can be satisfied (416). None: the field is to be ignored; so is one that asks for more bytes
    than there are (§14.2, §17.15).
    """
    specs = parse_ranges(value)
    if specs is None:
        return None
    parts = tuple(part for spec in specs if (part := spec.of(total)) is not None)
    if len(parts) < 2:
        return parts
    return None if sum(part.size for part in parts) > total else _coalesced(parts)


def _coalesced(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """`parts` as they are, or in order and joined where any two touch or overlap (§15.3.7.2)."""
    joined: list[Part] = []
    for part in sorted(parts, key=lambda each: each.first):
        if joined and part.first <= joined[-1].last + 1:
            joined[-1] = Part(joined[-1].first, max(joined[-1].last, part.last))
        else:
            joined.append(part)
    return parts if len(joined) == len(parts) else tuple(joined)


def multipart_heads(
    parts: Sequence[Part], total: int, content_type: str | None, boundary: str
) -> tuple[list[bytes], bytes]:
    """What goes before each of `parts`, and after the last, in multipart/byteranges (§14.6)."""
    kind = "" if content_type is None else f"Content-Type: {content_type}\r\n"
    heads = [f"\r\n--{boundary}\r\n{kind}Content-Range: {part.of(total)}\r\n\r\n" for part in parts]
    return [head.encode("latin-1") for head in heads], f"\r\n--{boundary}--\r\n".encode("latin-1")


def multipart(body: bytes, parts: Sequence[Part], content_type: str | None, boundary: str) -> bytes:
    """`parts` of `body` as multipart/byteranges (§14.6)."""
    heads, end = multipart_heads(parts, len(body), content_type, boundary)
    pieces = [head + body[part.first : part.end] for head, part in zip(heads, parts, strict=True)]
    return b"".join([*pieces, end])


def content_range(value: str | None) -> tuple[Part, int | None] | None:
    """The part and the total (None = unknown) that a 206's Content-Range names, or None if malformed."""
    match = _CONTENT_RANGE.fullmatch(value) if value is not None else None
    if match is None:
        return None
    first, last, total = match.groups()
    part = Part(int(first), int(last))
    whole = None if total == "*" else int(total)
    if part.size < 1 or (whole is not None and part.last >= whole):
        return None
    return part, whole


_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
