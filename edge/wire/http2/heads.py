"""Heads of HTTP/2: pseudo-fields and field lines, to a request's values and back (RFC 9113 §8). Pure.

The session has refused by now what is malformed by itself: upper case, fields of the connection,
pseudo-fields that are unknown, doubled, missing or late.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from edge.guard.refusal import Refusal
from edge.http.message import Fields, Line

RawLine = tuple[bytes, bytes]

# What means something on one connection of HTTP/1.1 alone (§8.2.2).
_OF_THE_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "content-length"}
)
_BREAKS_OUT = re.compile(r"[\x00\r\n]")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")


class Head(NamedTuple):
    """A request's head: `target` is the raw request target, `fields` have Host in the authority's place."""

    method: str
    target: str
    fields: Fields
    refusal: Refusal | None = None


def read(lines: Iterable[RawLine]) -> Head:
    """The head that `lines` make. Cookie crumbs become one line again (§8.2.3)."""
    pseudo: dict[str, str] = {}
    rest: list[Line] = []
    crumbs: list[str] = []
    for raw_name, raw_value in lines:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name.startswith(":"):
            pseudo[name] = value
        elif name == "cookie":
            crumbs.append(value)
        else:
            rest.append((name, value.strip(" \t")))
    if crumbs:
        rest.append(("cookie", "; ".join(crumbs)))
    fields, authority = Fields(rest), pseudo.get(":authority")
    method, target = pseudo.get(":method", ""), pseudo.get(":path", "")
    refusal = None
    if authority is not None:
        if any(host.lower() != authority.lower() for host in fields.all("host")):
            refusal = _bad("Host says something else than :authority")
        fields = Fields([("host", authority), *fields.without("host").lines])
    if not target.startswith("/") and not (target == "*" and method == "OPTIONS") and method != "CONNECT":
        refusal = refusal or _bad("a :path begins with /")
    return Head(method, target or "/", fields, refusal)


def write(status: int, fields: Fields, length: int | None) -> list[RawLine] | None:
    """An answer's head with `length` bytes of content, if that is known; None where a field can't be sent."""
    lines: list[RawLine] = [(b":status", b"%d" % status)]
    try:
        for name, value in fields.lines:
            lower = name.lower()
            if lower in _OF_THE_CONNECTION:
                continue
            if _NAME.fullmatch(lower) is None or _BREAKS_OUT.search(value) is not None:
                return None
            lines.append((lower.encode("ascii"), value.strip(" \t").encode("latin-1")))
    except UnicodeEncodeError:
        return None
    if length is not None:
        lines.append((b"content-length", b"%d" % length))
    return lines


def _bad(sentence: str) -> Refusal:
    return Refusal(400, "malformed", sentence)
