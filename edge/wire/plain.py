"""Requests that need no parser: the lane has read their fields already, and their lines are as plain."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

# Absolute paths in RFC 3986's characters: what every parser reads alike.
_LINE = re.compile(rb"(GET|HEAD) (/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*) HTTP/1\.1\r\n")


class Plain(NamedTuple):
    """What a request line asks for."""

    method: Literal["GET", "HEAD"]
    target: str


def read_line(line: bytes) -> Plain | None:
    """What `line` asks for (RFC 9112 §3); None where the ordinary parser is to read it."""
    found = _LINE.fullmatch(line)
    if found is None:
        return None
    return Plain("GET" if found[1] == b"GET" else "HEAD", found[2].decode("ascii"))
