"""Validation (RFC 9111 §4.3): asking the origin whether an entry holds, answering visitors who ask. Pure."""

from __future__ import annotations

from dataclasses import replace

from edge.http.dates import format_date, parse_date
from edge.http.etags import parse_etag, parse_etags
from edge.http.message import Fields, Request
from edge.policy.entry import Entry

PRECONDITIONS = ("if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range")

# §3.2: these describe the stored bytes, or how they came; a newer answer without them cannot change that.
_NOT_UPDATED = frozenset({"content-length", "content-encoding", "content-range"})


def unconditional(request: Request) -> Request:
    """`request` for the whole, current representation: the visitor's own questions are answered here."""
    return request.bearing(request.fields.derived(_without_questions))


def _without_questions(fields: Fields) -> Fields:
    return fields.without(*PRECONDITIONS, "range")


def with_conditions(question: Request, request: Request) -> Request:
    """`question`, unless the visitor who sent `request` has the answer already, in the origin's eyes."""
    own = [line for line in request.fields.lines if line[0].lower() in ("if-none-match", "if-modified-since")]
    return replace(question, fields=question.fields.plus(*own)) if own else question


def asking(request: Request, entry: Entry) -> Request:
    """`request`, asking whether `entry` still holds (§4.3.1)."""
    fields = request.fields.without(*PRECONDITIONS, "range")
    if entry.etag is not None:
        fields = fields.plus(("If-None-Match", str(entry.etag)))
    if entry.last_modified is not None:
        said = entry.fields.get("last-modified") or format_date(entry.last_modified)
        fields = fields.plus(("If-Modified-Since", said))
    return replace(request, fields=fields)


def can_ask(entry: Entry) -> bool:
    """Whether `entry` bears a validator."""
    return entry.etag is not None or entry.last_modified is not None


def selected_by(entry: Entry, fields: Fields) -> bool:
    """Whether a 304 with `fields` speaks of `entry` (§4.3.4)."""
    tag = parse_etag(fields.get("etag"))
    if tag is not None:
        if entry.etag is None:
            return False
        return tag.is_weakly(entry.etag) if tag.weak or entry.etag.weak else tag.is_strongly(entry.etag)
    modified = fields.get("last-modified")
    if modified is not None and entry.last_modified is not None:
        return parse_date(modified) == entry.last_modified
    return True  # without a validator of its own it can only mean the one that was asked about


def updated(stored: Fields, newer: Fields) -> Fields:
    """The stored fields, replaced by those that a newer answer brings (§3.2)."""
    replaced = {name for name in newer.names() if name not in _NOT_UPDATED}
    kept = [line for line in stored.lines if line[0].lower() not in replaced]
    return Fields([*kept, *(line for line in newer.lines if line[0].lower() in replaced)])


def confirmed_by_head(entry: Entry, fields: Fields) -> bool:
    """Whether a HEAD's 200 with `fields` describes the stored body still (§4.3.5)."""
    tag = fields.get("etag")
    if tag is not None and parse_etag(tag) != entry.etag:
        return False
    modified = fields.get("last-modified")
    if modified is not None and parse_date(modified) != entry.last_modified:
        return False
    length = fields.get("content-length")
    return length is None or length == entry.fields.get("content-length") or length == str(entry.content.size)


def not_modified(request: Fields, status: int, fields: Fields, date: int) -> bool:
    """Whether the visitor already has this representation (§4.3.2, RFC 9110 §13.2.2).

    If-None-Match decides where it is there; weak comparison. Without Last-Modified the date is compared.
    """
    if status != 200:
        return False
    asked = request.get("if-none-match")
    if asked is not None:
        tags = parse_etags(asked)
        if tags is None:
            return True
        tag = parse_etag(fields.get("etag"))
        return tag is not None and any(tag.is_weakly(other) for other in tags)
    since = request.get("if-modified-since")
    if since is None:
        return False
    threshold = parse_date(since)
    modified = fields.get("last-modified")
    changed = date if modified is None else parse_date(modified)
    return threshold is not None and changed is not None and changed <= threshold


def range_holds(request: Fields, fields: Fields, date: int) -> bool:
    """Whether If-Range, if there is one, lets the ranges apply (RFC 9110 §13.1.5): strong comparison only."""
    condition = request.get("if-range")
    if condition is None:
        return True
    tag = parse_etag(condition)
    if tag is not None:
        mine = parse_etag(fields.get("etag"))
        return mine is not None and tag.is_strongly(mine)
    modified = parse_date(fields.get("last-modified") or "")
    # RFC 9110 §8.8.2.2: a date is strong only if the answer was made at least a second later.
    return modified is not None and parse_date(condition) == modified and date - modified >= 1
