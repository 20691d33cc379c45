"""Form tokens in pages: found by a site's rules and masked, so that a page bears nobody's. Pure.

A page's bytes are read as they are: patterns and field names are ASCII, so any charset that ASCII is a part
of will do (`unreadable` refuses the others).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote_from_bytes

from edge.http.message import Fields
from edge.policy.rules import TokenRule

SHORTEST = 8  # characters; what is shorter is no token, and would be found all over the page
LONGEST = 4096
LARGEST_PAGE = 2 * 2**20  # bytes; larger ones are not searched

_OF_ASCII = re.compile(r"utf-?8|us-ascii|ascii|iso-?8859-\d+|latin-?\d+|windows-125\d|cp125\d|koi8-[ru]")
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
_LETTERS = re.compile(rb"[A-Za-z0-9_.~-]*")
_ENTITY = re.compile(rb"&(?:#(\d{1,7})|#[xX]([0-9a-fA-F]{1,6})|(amp|lt|gt|quot|apos|equals|plus|sol));")
_NAMED = {
    b"amp": b"&", b"lt": b"<", b"gt": b">", b"quot": b'"', b"apos": b"'",
    b"equals": b"=", b"plus": b"+", b"sol": b"/",
}  # fmt: skip
_ESCAPE = re.compile(rb"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([/'\"\\]))")


@dataclass(frozen=True, slots=True)
class Hole:
    """Where a token stood: the `ordinal`-th different one of the rule called `rule`, counted from 0.

    `spelling` tells apart the ways in which one token is written: as it is, escaped for HTML, for a URL, …
    """

    rule: str
    ordinal: int
    spelling: int = 0


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a page, as it stands there (`written`) and as it is meant (`value`)."""

    hole: Hole
    written: bytes
    value: bytes


Pieces = tuple[bytes | Hole, ...]


def unreadable(fields: Fields, page: bytes) -> str | None:
    """Why tokens can't be looked for in `page`, or None: `encoding`, `size` or `charset`."""
    coding = fields.get("content-encoding")
    if coding is not None and coding.strip().lower() not in ("", "identity"):
        return "encoding"
    if len(page) > LARGEST_PAGE:
        return "size"
    said = (fields.get("content-type") or "").lower().partition("charset=")[2]
    charset = said.partition(";")[0].strip(" \"'")
    if not charset:
        meta = _CHARSET.search(page, 0, 4096)
        charset = "utf-8" if meta is None else meta[1].decode("ascii", "replace").lower()
    if b"\x00" in page or _OF_ASCII.fullmatch(charset) is None:
        return "charset"
    if charset in ("utf-8", "utf8"):
        try:
            page.decode("utf-8")
        except UnicodeDecodeError:
            return "charset"
    return None


def find(page: bytes, rules: Iterable[TokenRule]) -> tuple[Token, ...]:
    """Every token that `rules` find, once for each way in which the page spells it; the first rule wins."""
    tokens: list[Token] = []
    seen: set[bytes] = set()
    for rule in rules:
        values: dict[bytes, dict[bytes, None]] = {}
        for written in _written(page, rule):
            if written not in seen:
                values.setdefault(meant(written), {})[written] = None
        for ordinal, (value, ways) in enumerate(values.items()):
            ways.update(dict.fromkeys(_spellings(value)))
            spellings = [spelled for spelled in ways if spelled not in seen and spelled in page]
            seen.update(spellings)
            tokens += (
                Token(Hole(rule.name, ordinal, number), spelled, value)
                for number, spelled in enumerate(spellings)
            )
    return tuple(tokens)


def mask(page: bytes, tokens: Iterable[Token]) -> Pieces:
    """`page` with a hole wherever one of `tokens` stood, found by a rule or not."""
    holes = {token.written: token.hole for token in tokens}
    if not holes:
        return (page,) if page else ()
    # The longest first, so that a token which begins another does not split it.
    longest = sorted(holes, key=len, reverse=True)
    parts = re.split(b"(" + b"|".join(map(re.escape, longest)) + b")", page)
    return tuple(
        holes[part] if number % 2 else part for number, part in enumerate(parts) if number % 2 or part
    )


def fill(pieces: Pieces, value_of: Callable[[Hole], bytes]) -> bytes:
    """A page made of `pieces`, each hole filled with its value."""
    return b"".join(piece if isinstance(piece, bytes) else value_of(piece) for piece in pieces)


def meant(written: bytes) -> bytes:
    """What a token says that HTML or a script has escaped."""

    def character(number: int) -> bytes:
        return chr(number).encode() if number < 0x110000 and not 0xD800 <= number < 0xE000 else b""

    if b"&" in written:
        written = _ENTITY.sub(
            lambda it: (
                character(int(it[1])) if it[1] else character(int(it[2], 16)) if it[2] else _NAMED[it[3]]
            ),
            written,
        )
    if b"\\" in written:
        written = _ESCAPE.sub(lambda it: it[3] or character(int(it[1] or it[2], 16)), written)
    return written


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode("latin-1"))


def _written(page: bytes, rule: TokenRule) -> Iterable[bytes]:
    for pattern in rule.find:
        for match in _compiled(pattern).finditer(page):
            written = match[1]
            if written is not None and SHORTEST <= len(written) <= LONGEST:
                yield written


def _spellings(value: bytes) -> list[bytes]:
    """The ways to write `value` in HTML, URLs, scripts and JSON; one for a value of letters and digits."""
    if _LETTERS.fullmatch(value):
        return [value]
    ways: dict[bytes, None] = {value: None}
    escaped = quote_from_bytes(value, safe="").encode()
    for way in (
        escaped,
        re.sub(rb"%[0-9A-F]{2}", lambda it: it[0].lower(), escaped),
        value.replace(b"/", rb"\/"),
        _numbered(value, b"\\u%04x"),
        _numbered(value, b"\\u%04X"),
        _numbered(value, b"\\x%02x"),
        _numbered(value, b"\\x%02X"),
        _numbered(value, b"&#%d;"),
        _numbered(value, b"&#x%x;"),
        _numbered(value, b"&#x%X;"),
        _numbered(value, b"&#x%02x;"),
        _numbered(value, b"&#x%02X;"),
        _html(value),
        _html(value).replace(b"'", b"&#39;"),
        _html(value).replace(b"'", b"&#x27;"),
        _html(value).replace(b'"', b"&#34;"),
    ):
        ways[way] = None
    return list(ways)


def _html(value: bytes) -> bytes:
    escaped = value.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
    return escaped.replace(b'"', b"&quot;")


def _numbered(value: bytes, form: bytes) -> bytes:
    return re.sub(rb"[^A-Za-z0-9_.~-]", lambda it: form % it[0][0], value)
