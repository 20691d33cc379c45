"""What looks like a form token that no rule of the site speaks of. Pure.

A name that smells of one, with a value that nobody would have chosen: such a page is not shared, for the
value may be one visitor's own. Names are told, values never.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import log2
from urllib.parse import unquote_to_bytes

MOST = 8  # names that are told of one page

_SMELLS = (
    b"csrf", b"xsrf", b"token", b"nonce", b"formkey", b"form_key", b"form-key", b"authenticity", b"sesskey",
    b"sessionid", b"session_id", b"session-id", b"sessid", b"requestverification",
)  # fmt: skip
_LONGEST_NAME = 80
_LONGEST_TAG = 8192
_BEFORE = re.compile(rb"[\w.$\[\]-]{0,64}\Z")
_REST = rb"[\w.$\[\]-]{0,64}"
_NAME_GOES_ON = re.compile(rb"[\w.$-]*")
_QUOTE = rb"""(?:\\{0,2}["'`]|&quot;|&\#34;|&\#39;|&\#x27;|&apos;|\\u0022)"""
_VALUE = rb"[A-Za-z0-9+/=_.:|~%!,\\-]{8,2048}"
_SCRIPT = re.compile(
    _REST + rb"(?:" + _QUOTE + rb")?\]?\s{0,8}(?::|=>?|,)\s{0,8}" + _QUOTE + rb"(" + _VALUE + rb")" + _QUOTE
)
_LINK = re.compile(_REST + rb"=(" + _VALUE + rb")")
_IN_LINK = (b"?", b"&", b";", b"%26", b"\\u0026")
_TAG = re.compile(rb"<(input|meta|button)\b([^<>]*)>", re.IGNORECASE)
_ATTRIBUTE = re.compile(rb"""([\w:.-]{1,64})\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_NAMING = (b"name", b"property", b"id", b"http-equiv", b"itemprop")
_HOLDING = (b"value", b"content")
_SIZE = re.compile(rb"[0-9]+(?:\.[0-9]+)?(?:px|em|rem|%|s|ms)?")


def suspects(page: bytes, came_with: Iterable[tuple[str, str]] = ()) -> tuple[str, ...]:
    """The names of what in `page`, its known tokens taken out, is token-like; each once, a few at most.

    Whatever it is called, so is a random value of a cookie that `came_with` the page.
    """
    found: dict[str, None] = {}
    for cookie, given in came_with:
        written = unquote_to_bytes(given.strip('"'))
        if is_random(written) and (written in page or given.encode("utf-8", "replace") in page):
            found[f"value of cookie {cookie}"] = None
    for kind, name, value in _candidates(page):
        if is_random(value):
            found[f"{kind} {name.decode('latin-1')}"] = None
            if len(found) == MOST:
                break
    return tuple(found)[:MOST]


def is_random(value: bytes) -> bool:
    """Whether nobody would have chosen `value`: long, of many different characters, no word, no address."""
    if not 8 <= len(value) <= 4096 or value[:1] == b"/" or b"//" in value or _SIZE.fullmatch(value):
        return False
    entropy = -sum(n / len(value) * log2(n / len(value)) for n in Counter(value).values())
    if entropy * len(value) < 20:
        return False
    digits = sum(48 <= byte <= 57 for byte in value)
    letters = sum(65 <= byte <= 90 or 97 <= byte <= 122 for byte in value)
    if not letters:
        return digits >= 10
    if digits:
        return digits >= 2 or len(value) >= 16
    # Words of letters alone are spelled in one case, or begin with a capital.
    turns = sum(97 <= one <= 122 and 65 <= other <= 90 for one, other in pairwise(value))
    return turns >= 3 and len(value) >= 12


def _candidates(page: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """Kind, name and value of whatever is called like a token."""
    tags: set[int] = set()
    for at in _smelling(page):
        before = _BEFORE.search(page, max(0, at - 64), at)
        start = at if before is None else before.start()
        tag = page.rfind(b"<", max(0, at - _LONGEST_TAG), at)
        opened = None if tag in tags or tag < 0 else _TAG.match(page, tag, tag + _LONGEST_TAG)
        if opened is not None and opened.end() > at:
            tags.add(tag)
            yield from _of_tag(opened)
        said = _SCRIPT.match(page, at)
        if said is not None:
            yield "script", _name(page, start, at), said[1]
        if page.endswith(_IN_LINK, max(0, start - 6), start) and (said := _LINK.match(page, at)) is not None:
            yield "link", _name(page, start, at), said[1]


def _smelling(page: bytes) -> list[int]:
    """Where in `page` the names begin to smell, in order. Plain searches: a page may be large."""
    lower = page.lower()
    places = set()
    for smell in _SMELLS:
        at = lower.find(smell)
        while at >= 0:
            places.add(at)
            at = lower.find(smell, at + len(smell))
    return sorted(places)


def _of_tag(tag: re.Match[bytes]) -> Iterator[tuple[str, bytes, bytes]]:
    attributes: dict[bytes, bytes] = {}
    for it in _ATTRIBUTE.finditer(tag[2]):
        attributes.setdefault(it[1].lower(), next(value for value in it.groups()[1:] if value is not None))
    for naming in _NAMING:
        name = attributes.get(naming, b"")
        if any(smell in name.lower() for smell in _SMELLS):
            kind = tag[1].decode("ascii").lower()
            yield from ((kind, name[:64], attributes.get(holding, b"").strip()) for holding in _HOLDING)
            return


def _name(page: bytes, start: int, at: int) -> bytes:
    """The whole name that began to smell at `at`."""
    rest = _NAME_GOES_ON.match(page, at, at + _LONGEST_NAME)
    return page[start : at if rest is None else rest.end()].lstrip(b".[]")
