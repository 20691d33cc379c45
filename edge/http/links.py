"""Link (RFC 8288 §3): what a message says is connected with its resource."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge.http.lists import unquote
from edge.http.remembered import remembered

_TARGET = re.compile(r"[ \t,]*<([^<>\"\s]*)>")
_PARAMETER = re.compile(
    r'[ \t]*;[ \t]*([^\s;,=<>"]*)(?:[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s;,"<>]*))?', re.ASCII
)
_END = re.compile(r"[ \t]*(?:,|$)")


@dataclass(frozen=True, slots=True)
class Link:
    """One link: its target as written, its relation types in lower case, and `text`, all of it.

    `anchored`: it speaks of another resource than the message's own (§3.2).
    """

    target: str
    relations: tuple[str, ...]
    anchored: bool
    text: str


@remembered(1024)
def links(value: str) -> tuple[Link, ...]:
    """The links of a field line, up to the first that is malformed."""
    found: list[Link] = []
    at = 0
    while (match := _TARGET.match(value, at)) is not None:
        begin, end = match.start(1) - 1, match.end()
        parameters: dict[str, str] = {}
        while (parameter := _PARAMETER.match(value, end)) is not None:
            name, argument = parameter.groups()
            parameters.setdefault(name.lower(), unquote(argument or ""))  # §3.3: the first rel counts
            end = parameter.end()
        after = _END.match(value, end)
        if after is None:
            break
        relations = tuple(parameters.get("rel", "").lower().split())
        found.append(Link(match[1], relations, "anchor" in parameters, value[begin:end]))
        at = after.end()
    return tuple(found)
