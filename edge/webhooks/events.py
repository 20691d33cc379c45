"""Ids of events that bear none, and the ids under which the origin is told of any."""

from __future__ import annotations

import hashlib
import re

from edge.webhooks.contract import LONGEST_EVENT

_PLAIN = re.compile(r"[A-Za-z0-9_:\-]+")


def digest(*parts: bytes | str) -> str:
    """An id for what has none: of the same bytes, the same."""
    made = hashlib.sha256()
    for part in parts:
        made.update(part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape"))
        made.update(b"\0")
    return "sha256_" + made.hexdigest()[:40]


def plain(event: str) -> str:
    """`event` as an id may stand in a signed line and in a log: as it is, or its digest."""
    return event if len(event) <= LONGEST_EVENT and _PLAIN.fullmatch(event) else digest(event)
