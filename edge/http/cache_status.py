"""Cache-Status (RFC 9211): one member, ours, and those of the caches before us."""

from __future__ import annotations

import http_sf

from edge.http.lists import TOKEN, quote
from edge.http.message import Fields

LONGEST_KEY = 256  # a longer one is left out: fields have limits downstream


def cache_status(
    cache: str,
    *,
    hit: bool = False,
    fwd: str | None = None,
    fwd_status: int | None = None,
    ttl: int | None = None,
    stored: bool = False,
    collapsed: bool | None = None,
    key: str | None = None,
    detail: str | None = None,
) -> str:
    """The member that tells how `cache` handled the request (RFC 9211 §2).

    Parameters that mean something only beside `fwd` are left out where nothing went forward.
    """
    text = cache
    if fwd is not None:
        text += f"; fwd={fwd}"
        if fwd_status is not None:
            text += f"; fwd-status={fwd_status}"
    elif hit:
        text += "; hit"
    if ttl is not None:
        text += f"; ttl={ttl}"
    if stored and fwd is not None:
        text += "; stored"
    if collapsed is not None and fwd is not None:
        text += "; collapsed" if collapsed else "; collapsed=?0"
    if key is not None and len(key) <= LONGEST_KEY and key.isascii() and key.isprintable():
        text += f"; key={quote(key)}"
    if detail is not None:
        text += f"; detail={detail if TOKEN.fullmatch(detail) and detail[0].isalpha() else quote(detail)}"
    return text


def of_caches_before(fields: Fields) -> Fields:
    """`fields`, their Cache-Status kept only if ours can be appended to it (RFC 9211 §2).

    A malformed member would make recipients ignore the whole field.
    """
    value = fields.get("cache-status")
    if value is None:
        return fields
    try:
        readable = bool(http_sf.parse(value.encode("latin-1"), tltype="list"))
    except (ValueError, UnicodeEncodeError):
        readable = False
    return fields if readable else fields.without("cache-status")
