"""Cache-Status (RFC 9211): one member, ours."""

from __future__ import annotations

from edge.http.lists import TOKEN, quote

LONGEST_KEY = 256  # a longer one is left out: fields have limits downstream


def cache_status(
    cache: str,
    *,
    hit: bool = False,
    fwd: str | None = None,
    fwd_status: int | None = None,
    ttl: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
    key: str | None = None,
    detail: str | None = None,
) -> str:
    """The member that tells how `cache` handled the request (RFC 9211 §2)."""
    text = cache
    if hit:
        text += "; hit"
    if fwd is not None:
        text += f"; fwd={fwd}"
    if fwd_status is not None:
        text += f"; fwd-status={fwd_status}"
    if ttl is not None:
        text += f"; ttl={ttl}"
    if stored:
        text += "; stored"
    if collapsed:
        text += "; collapsed"
    if key is not None and len(key) <= LONGEST_KEY and key.isascii() and key.isprintable():
        text += f"; key={quote(key)}"
    if detail is not None:
        text += f"; detail={detail if TOKEN.fullmatch(detail) and detail[0].isalpha() else quote(detail)}"
    return text
