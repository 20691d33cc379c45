"""Cache groups (RFC 9875): the names by which an origin's own answers outdate each other. Pure."""

from __future__ import annotations

import http_sf

from edge.http.message import Fields, Request
from edge.policy.invalidation import is_unsafe


def groups_of(fields: Fields) -> tuple[str, ...]:
    """The groups that an answer belongs to, each once, in order (§2); within its own origin only (§2.1)."""
    return _strings(fields.get("cache-groups"))


def invalidated_groups(request: Request, status: int, fields: Fields) -> tuple[str, ...]:
    """The groups of the request's origin that an answer to it makes obsolete (§3).

    As with RFC 9111 §4.4 only an unsafe request does, and only where it did not fail (2xx, 3xx).
    """
    if not is_unsafe(request.method) or not 200 <= status < 400:
        return ()
    return _strings(fields.get("cache-group-invalidation"))


def _strings(value: str | None) -> tuple[str, ...]:
    """A List of Strings (RFC 9651 §3.1), parameters ignored; nothing where it is anything else."""
    if value is None:
        return ()
    try:
        parsed = http_sf.parse(value.encode("latin-1"), tltype="list")
    except (ValueError, UnicodeEncodeError):
        return ()
    found: dict[str, None] = {}
    for member in parsed if isinstance(parsed, list) else ():
        name = member[0] if isinstance(member, tuple) else member
        if type(name) is not str:
            return ()
        found[name] = None
    return tuple(found)
