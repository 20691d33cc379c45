"""Paths in one spelling, and patterns of them whose parts a rule may take over. Pure.

Rules that make URLs read a path as a browser would ask for it, still in escapes: what they take over is safe
where they put it, and `%2F` never turns into a slash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import re2

from edge.policy.key import normal_escapes

LONGEST_PATH = 2048  # longer ones fit no regular expression: a search costs text times expression
LARGEST_EXPRESSION = 32 * 1024  # bytes that an expression may take when compiled
_IN_PATHS = "/%:@!$&'()*+,;=-._~"
_PLAIN = re.compile(r"[/A-Za-z0-9:@!$&'()*+,;=._~-]*").fullmatch
_IN_QUERIES = "/?%:@!$&'()*+,;=-._~[]"

Captures = Mapping[str, str]  # by number ("1") or name


def plain_path(path: str) -> str:
    """`path` as a browser would ask: in normal escapes, without dot segments (RFC 3986 §5.2.4, §6.2.2)."""
    text = path if _PLAIN(path) else escaped(path, _IN_PATHS)
    return _without_dots(text) if "/." in text else text


def plain_query(query: str) -> str:
    """`query` with everything escaped that has no place in a URL."""
    return escaped(query, _IN_QUERIES)


def escaped(text: str, safe: str) -> str:
    """`text`, a byte a character, with all but `safe` and letters, digits, `-._~` as escapes, in capitals."""
    text = quote(text, safe=safe, encoding="latin-1", errors="replace")
    return normal_escapes(text) if "%" in text else text


def covers(prefix: str, path: str) -> bool:
    """Whether `path` lies under `prefix`: whole segments, so /api covers /api/x but not /apix."""
    if not path.startswith(prefix):
        return False
    return prefix.endswith("/") or len(path) == len(prefix) or path[len(prefix)] == "/"


def has_dot_segments(path: str) -> bool:
    """Whether somebody might read `.` or `..` as steps in `path`: escaped separators count too."""
    text = normal_escapes(path).replace("%2F", "/").replace("%5C", "/").replace("\\", "/")
    return any(segment.partition(";")[0] in (".", "..") for segment in text.split("/"))


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")
    for segment in segments[1:]:
        if segment == "..":
            if kept:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def first_step(path: str) -> str | None:
    """The first segment of `path`, if another follows."""
    segments = path.split("/", 2)
    return segments[1] if len(segments) == 3 else None


@dataclass(frozen=True, slots=True)
class Glob:
    """A path in which each `*` is any text: `$1`, `$2`, … from the left, each the shortest, but for the last.

    Found in time that grows with the path alone. Raises ValueError where it can't be a path.
    """

    text: str
    _pieces: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.text.startswith(("/", "*")) or "?" in self.text or "#" in self.text:
            raise ValueError("a path that begins with /, in which * is any text, without ? and #")
        text = quote(self.text, safe=_IN_PATHS)
        object.__setattr__(self, "_pieces", tuple(normal_escapes(piece) for piece in text.split("*")))

    @property
    def exact(self) -> str | None:
        """The one path that fits, where there is but one."""
        return self._pieces[0] if len(self._pieces) == 1 else None

    @property
    def first_step(self) -> str | None:
        """The first segment of every path that fits, where it is told."""
        return first_step(self._pieces[0])

    @property
    def names(self) -> frozenset[str]:
        """What it captures."""
        return frozenset(str(number) for number in range(1, len(self._pieces)))

    def captured(self, path: str) -> Captures | None:
        """What the stars stand for in `path`, a plain one; None where it does not fit."""
        first, *middle = self._pieces
        if not middle:
            return {} if path == first else None
        last = middle.pop()
        end = len(path) - len(last)
        if end < len(first) or not path.startswith(first) or not path.endswith(last):
            return None
        at, found = len(first), {}
        for number, piece in enumerate(middle, 1):
            start = path.find(piece, at, end)
            if start < 0:
                return None
            found[str(number)] = path[at:start]
            at = start + len(piece)
        found[str(len(middle) + 1)] = path[at:end]
        return found

    def filled(self, text: str) -> str:
        """A path that fits: each star is `text`."""
        path = text.join(self._pieces)
        return path if path.startswith("/") else f"/{path}"


@dataclass(frozen=True, slots=True)
class Expression:
    """A regular expression (RE2's syntax) that must fit the whole path. Linear, whatever the path.

    Raises ValueError where RE2 can't take it.
    """

    text: str

    def __post_init__(self) -> None:
        _compiled(self.text)

    @property
    def exact(self) -> str | None:
        return None

    @property
    def first_step(self) -> str | None:
        return None

    @property
    def names(self) -> frozenset[str]:
        """What it captures, by number and by name."""
        compiled = _compiled(self.text)
        return frozenset((*map(str, range(1, compiled.groups + 1)), *compiled.groupindex))

    def captured(self, path: str) -> Captures | None:
        """What its groups captured in `path`, a plain one; None where it does not fit."""
        if len(path) > LONGEST_PATH:
            return None
        found = _compiled(self.text).fullmatch(path)
        if found is None:
            return None
        numbered = {str(number): text or "" for number, text in enumerate(found.groups(), 1)}
        return numbered | {name: text or "" for name, text in found.groupdict().items()}


PathPattern = Glob | Expression
EVERY_PATH = Glob("*")


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = LARGEST_EXPRESSION
    try:
        return re2.compile(text, options=options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"a regular expression in RE2's syntax, without look-around: {said}") from None
