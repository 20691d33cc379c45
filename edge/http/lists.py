"""Lists and tokens in field values (RFC 9110 §5.6)."""

from __future__ import annotations

import re

from edge.http.remembered import remembered

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_MEMBER = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"|")+', re.DOTALL)


def members(value: str) -> list[str]:
    """The members of a comma-separated list, white space around them gone, empty ones left out.

    Commas within quoted strings do not separate (RFC 9110 §5.6.1.2).
    """
    if '"' not in value:
        return [member for part in value.split(",") if (member := part.strip(" \t"))]
    return [member for part in _MEMBER.findall(value) if (member := part.strip(" \t"))]


@remembered(1024)
def names(value: str) -> tuple[str, ...]:
    """A list of field names or other tokens, in lower case."""
    return tuple(member.lower() for member in members(value))


def unquote(text: str) -> str:
    """The text of a quoted string (RFC 9110 §5.6.4); anything else as it is."""
    match = _QUOTED.fullmatch(text)
    if match is None:
        return text
    inner = match.group(1)
    return re.sub(r"\\(.)", r"\1", inner, flags=re.DOTALL) if "\\" in inner else inner


def quote(text: str) -> str:
    """`text` as a quoted string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
