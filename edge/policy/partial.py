"""Partial content (RFC 9111 §3.3, §3.4, RFC 9110 §14): what is wanted, what lacks, what to ask. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from urllib.parse import unquote

from edge.http.dates import parse_date
from edge.http.etags import ETag, parse_etag
from edge.http.lists import names
from edge.http.message import Fields, Request
from edge.http.ranges import Part, Spec, content_range, parse_ranges, satisfiable
from edge.policy.entry import Entry
from edge.policy.rules import SliceRules
from edge.policy.validation import asking, not_modified, range_holds, unconditional

MOST_SLICES = 16  # that are fetched at a time
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

    `want` is the part that the request is for, `only` tells that it is for no other; `run` is how many parts
    were fetched before for the same answer.
    """

    at: int
    gap: Part
    want: Part
    only: bool = True
    run: int = 0


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


def strong_validator(fields: Fields, date: int) -> str | None:
    """What vouches for the bytes of an answer made at `date`, as If-Range says it (RFC 9110 §13.1.5)."""
    said = fields.get("etag")
    if said is not None:
        tag = parse_etag(said)
        return None if tag is None or tag.weak else said
    modified = fields.get("last-modified")
    changed = None if modified is None else parse_date(modified)
    # §8.8.2.2: a date is strong only if the answer was made at least a second later.
    return modified if changed is not None and date - changed >= 1 else None


def validator(entry: Entry) -> str | None:
    """`entry`'s strong validator; None if it has none."""
    return strong_validator(entry.fields, entry.date)


def completes(entry: Entry) -> bool:
    """Whether what lacks of `entry`'s body may be fetched in parts."""
    return entry.content.completable and validator(entry) is not None


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


def lack(request: Request, entry: Entry, *, at_once: bool = False) -> Lack | None:
    """What an answer to `request` needs of `entry`'s body beyond what is here, or None.

    `at_once`: what it begins with is enough of a body in slices, for the others are fetched as they are read.
    """
    content = entry.content
    size = _length(entry.fields) if content.size is None else content.size
    if not content.partial or size is None or request.method != "GET":
        return None
    if not_modified(request.fields, entry.status, entry.fields, entry.date):
        return None
    parts = wanted(request, entry.fields, entry.date, size)
    needs = (Part(0, size - 1),) if parts is None else parts
    only = len(needs) == 1
    for part in needs:
        gap = content.gap(Part(part.first, part.first) if at_once and only and content.sliced else part)
        if gap is not None:
            return Lack(max(part.first, gap.first), gap, part, only=only)
    return None


def to_fetch(lack: Lack, size: int, slice_size: int, *, sliced: bool) -> Part:
    """The part to ask for where `lack` is met: whole slices, as far as they are wanted and not here.

    Of a `sliced` body that is the slice that lacks first; for an answer that goes on and on more at a time,
    twice as many each time. Of another body all that is wanted comes in one piece.
    """
    start = lack.at // slice_size * slice_size
    end = -(-lack.want.end // slice_size) * slice_size
    if sliced:
        end = min(end, start + slice_size * min(MOST_SLICES, 2 ** max(0, lack.run - 1)))
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


def to_ask(request: Request, entry: Entry | None, part: Part | None, rules: SliceRules) -> Request:
    """What the origin is asked for `request`: whether `entry` still holds; or for `part` of it."""
    if entry is None:
        return _first_slice(request, rules) if is_known(request.path, rules) else named_by(request)
    if part is not None:
        return rest_of(request, entry, part)
    question = asking(request, entry)
    if not entry.content.sliced:
        return question
    # If it does not hold, a slice of the new version is enough (RFC 9110 §13.2.2: the tag decides first).
    size = entry.content.size or 0
    parts = wanted(request, entry.fields, entry.date, size) or (Part(0, size - 1),)
    return _with_slice(question, parts[0].first, rules.size)


def _first_slice(request: Request, rules: SliceRules) -> Request:
    """`request` for the first slice that it needs, where nothing tells how long the body is."""
    plain = named_by(request)
    specs = parse_ranges(request.fields.get("range") or "bytes=0-") or (Spec(0, None),)
    if request.method != "GET" or specs[0].first is None or asks(request) is Asks.AS_IT_IS:
        return plain
    return _with_slice(plain, specs[0].first, rules.size)


def _with_slice(request: Request, at: int, size: int) -> Request:
    start = at // size * size
    fields = request.fields.without("range").plus(("Range", f"bytes={start}-{start + size - 1}"))
    return replace(request, fields=fields)


def is_known(path: str, rules: SliceRules) -> bool:
    """Whether the site's rules say that what lies at `path` comes in slices."""
    return bool(rules.known.patterns) and rules.known.fits(unquote(path))


def is_sliced(path: str, size: int, rules: SliceRules, max_object: int) -> bool:
    """Whether a body of `size` bytes is kept in slices, by a store that keeps up to `max_object` whole."""
    if is_known(path, rules):
        return size > rules.size
    return rules.learn and size > (max_object if rules.over is None else rules.over)


def knows_ranges(path: str, fields: Fields, rules: SliceRules) -> bool:
    """Whether the origin of an answer with `fields` answers ranges, as far as that is known."""
    return accepts_ranges(fields) or is_known(path, rules)


def accepts_ranges(fields: Fields) -> bool:
    """Whether an answer's fields say that its origin knows ranges of bytes (RFC 9110 §14.3)."""
    return "bytes" in names(fields.get("accept-ranges") or "")


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


def _length(fields: Fields) -> int | None:
    value = fields.get("content-length")
    return int(value) if value is not None and value.isascii() and value.isdigit() else None
