"""Whether two renderings of a page are alike but for their tokens, and what gives a personal one away. Pure.

What differs is told by its place, never by its content.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from urllib.parse import unquote

from edge.http.message import Fields
from edge.policy.tokens import Hole, Pieces

SHORTEST_COOKIE = 8  # characters; shorter values are found in any page

_AT = re.compile(rb"(?:@|%40|&#64;|&#x40;|\\u0040)([A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,4})")
_MAILBOX = re.compile(rb"[A-Za-z0-9._%+-]{1,64}\Z")
_PICTURE = re.compile(rb"\.(?:png|jpe?g|gif|webp|svg|avif|css|js)$", re.IGNORECASE)  # logo@2x.png
_GREETING = re.compile(
    rb">\s*((?:hello|hi|hey|welcome(?:\s+back)?|halo|hai|selamat\s+(?:datang|pagi|siang|sore|malam)|bonjour|"
    rb"hallo|hola|ciao|willkommen|bienvenue|(?:signed|logged)\s+in\s+as|masuk\s+sebagai)\b[\s,!:]*"
    rb"(?:<(?!/)[^<>]{0,200}>\s*)*[^<>]{0,80}?)\s*<",
    re.IGNORECASE,
)
_LEAVING = re.compile(
    rb"(?:log|sign)[\s_/-]?(?:out|off)\b|abmelden|d\xc3\xa9connexion|cerrar\s+sesi\xc3\xb3n|[/>\s\"']keluar\b",
    re.IGNORECASE,
)
_OPENING = re.compile(rb"<([a-zA-Z][\w:-]{0,30})\b([^<>]{0,400})(>?)")
_NAMED = re.compile(rb"""\b(id|class|name)\s*=\s*["']([\w -]{1,40})["']""", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"""([\w:.-]{1,40})\s*=\s*["']?[^"'=]*\Z""")


@dataclass(frozen=True, slots=True)
class Rendering:
    """One answer as it is compared: its page with every known token taken out."""

    status: int
    fields: Fields
    pieces: Pieces

    @property
    def text(self) -> bytes:
        """The page less its known tokens."""
        return b"".join(piece for piece in self.pieces if isinstance(piece, bytes))


@dataclass(frozen=True, slots=True)
class Traces:
    """What in a page may be of one person, as digests: e-mail addresses, greetings, ways to log out."""

    emails: frozenset[bytes] = frozenset()
    greetings: frozenset[bytes] = frozenset()
    leaving: bool = False

    def __or__(self, other: Traces) -> Traces:
        return Traces(
            self.emails | other.emails, self.greetings | other.greetings, self.leaving or other.leaving
        )


def difference(one: Rendering, other: Rendering, compared: Iterable[str] = ()) -> str | None:
    """Where two renderings of a page differ, or None. `compared` are fields that count beside the usual."""
    if one.status != other.status:
        return "status"
    for name in ("location", "content-type", "content-language", *compared):
        if one.fields.all(name) != other.fields.all(name):
            return f"field {name}"
    before = b""
    for mine, theirs in zip(one.pieces, other.pieces, strict=False):
        if isinstance(mine, Hole) or isinstance(theirs, Hole):
            if not isinstance(mine, Hole) or not isinstance(theirs, Hole) or _same(mine) != _same(theirs):
                return f"tokens, {_place(before)}"
        elif mine != theirs:
            return _place(before + mine[: _common(mine, theirs)])
        else:
            before += mine
    return None if len(one.pieces) == len(other.pieces) else f"length, {_place(before)}"


def traces(text: bytes) -> Traces:
    """What in `text` may be of one person."""
    emails: set[bytes] = set()
    for at in _AT.finditer(text):
        mailbox = _MAILBOX.search(text, max(0, at.start() - 64), at.start())
        if mailbox is not None and mailbox[0] and not _PICTURE.search(at[1]):
            emails.add(_digest(mailbox[0] + b"@" + at[1]))
    greetings = {_digest(b" ".join(match[1].split())) for match in _GREETING.finditer(text)}
    return Traces(frozenset(emails), frozenset(greetings), _LEAVING.search(text) is not None)


def canary(text: bytes, proven: Traces, cookies: Iterable[tuple[str, str]]) -> str | None:
    """What in a page, less its known tokens, says that it is somebody's own, or None.

    `proven` are the traces of the page by which its template was proven, `cookies` the asker's.
    """
    for name, value in cookies:
        if len(value) >= SHORTEST_COOKIE and _tells(text, value):
            return f"value of cookie {name}"
    found = traces(text)
    if found.emails - proven.emails:
        return "e-mail address"
    if found.greetings - proven.greetings:
        return "greeting"
    if found.leaving and not proven.leaving:
        return "way to log out"
    return None


def _tells(text: bytes, value: str) -> bool:
    raw = value.strip('"')
    return any(
        len(way) >= SHORTEST_COOKIE and way.encode("utf-8", "replace") in text for way in {raw, unquote(raw)}
    )


def _same(hole: Hole) -> Hole:
    """A hole as it counts: whether a token needs escapes is chance."""
    return replace(hole, spelling=0)


def _common(one: bytes, other: bytes) -> int:
    """How many bytes two texts begin with in common."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[:middle] == other[:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _place(before: bytes) -> str:
    """Where a page goes on after `before`, which is the same for all: the line, and the element."""
    line = before.count(b"\n") + 1
    tags = list(_OPENING.finditer(before, max(0, len(before) - 2048)))
    if not tags:
        return f"line {line}"
    tag = tags[-1]
    name = tag[1].decode("ascii").lower()
    if not tag[3]:  # within it: what has been read of an attribute may be half a value
        attribute = _ATTRIBUTE.search(tag[2])
        return f"line {line}, in <{name}{'' if attribute is None else ' ' + attribute[1].decode()}>"
    named = _NAMED.search(tag[2])
    mark = "" if named is None else f" {named[1].decode().lower()}={named[2].decode()}"
    return f"line {line}, after <{name}{mark}>"


def _digest(value: bytes) -> bytes:
    return blake2b(value.lower(), digest_size=8).digest()
