"""Partial content (RFC 9111 §3.3, §3.4, RFC 9110 §14): what is wanted, what lacks, what to ask. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from edge.http.dates import parse_date
from edge.http.etags import ETag, parse_etag
from edge.http.message import Fields, Request
from edge.http.ranges import Part, Spec, content_range, parse_ranges, satisfiable
from edge.policy.entry import Entry
from edge.policy.validation import asking, not_modified, range_holds, unconditional

# A page is made whole: the edge may have to look into it before it can be shared.
_INDIVISIBLE = frozenset({"text/html", "application/xhtml+xml", "multipart/byteranges"})


@dataclass(frozen=True, slots=True)
class Arrival:
    """The part of a body of `size` bytes that a 206 brings."""

    part: Part
    size: int


@dataclass(frozen=True, slots=True)
class Lack:
    """What a request needs of a body and is not here: from byte `at` on, in a `gap` of what is.

    `want` is the part that the request is for, `only` tells that it is for no other.
    """

    at: int
    gap: Part
    want: Part
    only: bool = True


def divisible(fields: Fields) -> bool:
    """Whether parts of a body may be kept: of one that the origin sent as it is, and that is no page."""
    media_type = (fields.get("content-type") or "").partition(";")[0].strip(" \t").lower()
    return media_type not in _INDIVISIBLE and "content-encoding" not in fields


def arrival(fields: Fields) -> Arrival | None:
    """What a 206 with `fields` brings; None if it is nothing that could be kept (RFC 9110 §15.3.7.1)."""
    said = content_range(fields.get("content-range"))
    if said is None or said[1] is None or not divisible(fields):
        return None
    length = fields.get("content-length")
    if length is not None and not (length.isdigit() and int(length) <= said[0].size):
        return None
    return Arrival(said[0], said[1])


def as_whole(fields: Fields, size: int) -> Fields:
    """The fields of a 206 as those of an incomplete 200 (RFC 9111 §3.3)."""
    return fields.without("content-range").replaced("Content-Length", str(size))


def validator(entry: Entry) -> str | None:
    """`entry`'s strong validator as If-Range says it (RFC 9110 §13.1.5); None if it has none."""
    if entry.etag is not None:
        return None if entry.etag.weak else str(entry.etag)
    modified = entry.fields.get("last-modified")
    if "etag" in entry.fields or modified is None or entry.last_modified is None:
        return None
    # §8.8.2.2: a date is strong only if the answer was made at least a second later.
    return modified if entry.date - entry.last_modified >= 1 else None


def same_version(entry: Entry, fields: Fields) -> bool:
    """Whether an answer with `fields` surely bears bytes of `entry`'s body (RFC 9110 §15.3.7.3)."""
    if validator(entry) is None:
        return False
    tag: ETag | None = parse_etag(fields.get("etag"))
    if entry.etag is not None:
        return tag is not None and tag.is_strongly(entry.etag)
    return tag is None and parse_date(fields.get("last-modified") or "") == entry.last_modified


def is_ranged(request: Request, fields: Fields, date: int) -> bool:
    """Whether `request` has a Range that is in force for a representation with `fields` (RFC 9110 §14.2)."""
    asked = request.fields.get("range")
    if asked is None or request.method != "GET" or "content-encoding" in fields:
        return False
    return parse_ranges(asked) is not None and range_holds(request.fields, fields, date)


def wanted(request: Request, fields: Fields, date: int, size: int) -> tuple[Part, ...] | None:
    """The parts of a body of `size` bytes that `request` is for; empty: none can be had (416).

    None: the whole is meant, for there is no Range, or it is to be ignored.
    """
    asked = request.fields.get("range")
    return None if asked is None or not is_ranged(request, fields, date) else satisfiable(asked, size)


def lack(request: Request, entry: Entry) -> Lack | None:
    """What an answer to `request` needs of `entry`'s body beyond what is here, or None."""
    content = entry.content
    size = content.size
    if not content.partial or size is None or request.method != "GET":
        return None
    if not_modified(request.fields, entry.status, entry.fields, entry.date):
        return None
    parts = wanted(request, entry.fields, entry.date, size)
    needs = (Part(0, size - 1),) if parts is None else parts
    for part in needs:
        gap = content.gap(part)
        if gap is not None:
            return Lack(max(part.first, gap.first), gap, part, only=len(needs) == 1)
    return None


def to_fetch(lack: Lack, size: int, slice_size: int, *, sliced: bool) -> Part:
    """The part to ask for where `lack` is met: whole slices, as far as they are not here.

    Of a `sliced` body just the slice that lacks first, of another all that is wanted, in one piece.
    """
    start = lack.at // slice_size * slice_size
    end = start + slice_size if sliced else -(-lack.want.end // slice_size) * slice_size
    return Part(max(start, lack.gap.first), min(end - 1, lack.gap.last, size - 1))


def rest_of(request: Request, entry: Entry, part: Part) -> Request:
    """`request` for `part` of the version that `entry` is of: another version comes whole (§13.1.5)."""
    condition, size = validator(entry), entry.content.size
    assert condition is not None and size is not None
    asked = f"bytes={part.first}-" if part.end == size else f"bytes={part.first}-{part.last}"
    return replace(
        request,
        fields=unconditional(request).fields.plus(("Range", asked), ("If-Range", condition)),
    )


def to_ask(request: Request, entry: Entry | None, part: Part | None) -> Request:
    """What the origin is asked for `request`: whether `entry` still holds; or for `part` of it."""
    if entry is None:
        return named_by(request)
    return asking(request, entry) if part is None else rest_of(request, entry, part)


class Asks(Enum):
    """What is asked of the origin for a request of whose target nothing is stored."""

    WHOLE = auto()
    PART = auto()  # the one that the request names
    AS_IT_IS = auto()  # several parts, or a part of a version that is not known here


def asks(request: Request) -> Asks:
    """What to ask for `request`. Players ask for `bytes=0-` to learn about ranges: that is the whole."""
    asked = request.fields.get("range")
    specs = None if asked is None or request.method != "GET" else parse_ranges(asked)
    if specs is None:
        return Asks.WHOLE
    if len(specs) > 1 or "if-range" in request.fields:
        return Asks.AS_IT_IS
    return Asks.WHOLE if specs == (Spec(0, None),) else Asks.PART


def named_by(request: Request) -> Request:
    """`request` as the origin is asked, where nothing is stored: for the part that it names, or the whole."""
    asked = request.fields.get("range")
    plain = unconditional(request)
    if asked is None or asks(request) is Asks.WHOLE:
        return plain
    return replace(plain, fields=plain.fields.plus(("Range", asked)))
