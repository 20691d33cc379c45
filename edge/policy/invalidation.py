"""Invalidation (RFC 9111 §4.4): what an unsafe request makes obsolete. Pure."""

from __future__ import annotations

from edge.http.message import Fields, Request
from edge.policy.key import key_of, same_origin_key
from edge.policy.statuses import SAFE_METHODS


def is_unsafe(method: str) -> bool:
    """Whether `method` may change something; unknown methods may (RFC 9110 §9.2.1)."""
    return method not in SAFE_METHODS


def invalidated(request: Request, status: int, fields: Fields) -> tuple[str, ...]:
    """The keys that an answer to `request` makes obsolete: the target's, Location's, Content-Location's.

    Only a non-error status (2xx, 3xx) does, and only within the same origin.
    """
    if not is_unsafe(request.method) or not 200 <= status < 400:
        return ()
    keys = {key_of(request): None}
    for name in ("location", "content-location"):
        reference = fields.get(name)
        key = None if reference is None else same_origin_key(request, reference)
        if key is not None:
            keys[key] = None
    return tuple(keys)
