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

    def of(self, total: int) -> str:
        """As Content-Range (§14.4)."""
        return f"bytes {self.first}-{self.last}/{total}"


def satisfiable(value: str, total: int) -> tuple[Part, ...] | None:
    """The parts of a body of `total` bytes that Range `value` selects.

    Empty: none can be satisfied (416). None: the field is to be ignored, for it is malformed, of another
    unit, or asks for more than an honest client would (§14.2).
    """
    unit, equals, text = value.partition("=")
    if not equals or unit.strip(" \t").lower() != "bytes":
        return None
    specs = members(text)
    if not specs or len(specs) > MAX_RANGES:
        return None
    parts: list[Part] = []
    for spec in specs:
        match = _SPEC.fullmatch(spec)
        if match is None or match.group(0) == "-":
            return None
        first, last = match.groups()
        if first and last and int(first) > int(last):
            return None
        part = _resolve(first, last, total)
        if part is not None:
            parts.append(part)
    if len(parts) > 1 and sum(part.size for part in parts) > total:
        return None
    return tuple(parts)


def _resolve(first: str, last: str, total: int) -> Part | None:
    if not first:
        suffix = min(int(last), total)
        return Part(total - suffix, total - 1) if suffix else None
    start = int(first)
    if start >= total:
        return None
    return Part(start, min(int(last), total - 1) if last else total - 1)


def multipart(body: bytes, parts: Sequence[Part], content_type: str | None, boundary: str) -> bytes:
    """`parts` of `body` as multipart/byteranges (§14.6)."""
    pieces: list[bytes] = []
    for part in parts:
        head = f"\r\n--{boundary}\r\n"
        if content_type is not None:
            head += f"Content-Type: {content_type}\r\n"
        head += f"Content-Range: {part.of(len(body))}\r\n\r\n"
        pieces += [head.encode("latin-1"), body[part.first : part.last + 1]]
    pieces.append(f"\r\n--{boundary}--\r\n".encode("latin-1"))
    return b"".join(pieces)


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
