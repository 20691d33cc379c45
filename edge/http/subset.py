"""A strict subset of heads, which every parser reads alike: what is odd is left to the ordinary one."""

from __future__ import annotations

import re

from edge.http.message import Fields

LONGEST_HEAD = 16 * 1024
_BLOCK = re.compile(rb"(?:[A-Za-z0-9_-]+:[\t -~]*\r\n)+\r\n")
_HOST = re.compile(r"[A-Za-z0-9._-]+(?::\d{1,5})?")
# Fields that change what a connection does, or that the pipeline must judge anew each time.
_STRANGE = frozenset(
    {
        "authorization",
        "content-length",
        "expect",
        "forwarded",
        "http2-settings",
        "if-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
MOST_FIELDS = 128


def strict_fields(block: bytes) -> Fields | None:
    """The fields in `block`, which ends a head, if they are plain enough for the lane."""
    if _BLOCK.fullmatch(block) is None or len(block) > LONGEST_HEAD:
        return None
    lines = []
    for line in block[:-4].decode("ascii").split("\r\n"):
        name, _, value = line.partition(":")
        lines.append((name, value.strip(" \t")))
    fields = Fields(lines)
    hosts = fields.all("host")
    if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None or len(lines) > MOST_FIELDS:
        return None
    if any(name in _STRANGE for name in fields.names()):
        return None
    kept = fields.get("connection")
    return fields if kept is None or kept.lower() == "keep-alive" else None
