"""Entity tags (RFC 9110 §8.8.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge.http.remembered import remembered

_ETAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_LIST = re.compile(r'[ \t]*(?:(W/)?"([\x21\x23-\x7e\x80-\xff]*)")?[ \t]*(?:,|\Z)')


@dataclass(frozen=True, slots=True)
class ETag:
    """An opaque tag; a weak one vouches for the meaning only, not for the bytes."""

    tag: str
    weak: bool = False

    def __str__(self) -> str:
        return f'W/"{self.tag}"' if self.weak else f'"{self.tag}"'

    def is_strongly(self, other: ETag) -> bool:
        """Strong comparison (§8.8.3.2)."""
        return not self.weak and not other.weak and self.tag == other.tag

    def is_weakly(self, other: ETag) -> bool:
        """Weak comparison (§8.8.3.2)."""
        return self.tag == other.tag


@remembered(4096)
def parse_etag(text: str | None) -> ETag | None:
    """One entity tag, or None if `text` is malformed."""
    match = _ETAG.fullmatch(text) if text is not None else None
    return ETag(match.group(2), match.group(1) is not None) if match is not None else None


@remembered(1024)
def parse_etags(text: str) -> tuple[ETag, ...] | None:
    """The tags of If-None-Match or If-Match, up to the first malformed member; None for `*`."""
    if text.strip(" \t") == "*":
        return None
    tags: list[ETag] = []
    at = 0
    while at < len(text):
        match = _LIST.match(text, at)
        if match is None:
            break
        if match.group(2) is not None:
            tags.append(ETag(match.group(2), match.group(1) is not None))
        at = match.end()
    return tuple(tags)
