"""What can be purged: URL | prefix | tag | site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PurgeKind = Literal["url", "prefix", "tag", "site"]


@dataclass(frozen=True, slots=True)
class Purge:
    """One wish to forget.

    `value` is an absolute URL (`url`: that resource in every variant, under http and https alike; `prefix`:
    every URL that begins so), a tag, or a site's name or one of its hosts. `soft` marks entries stale instead
    of dropping them. `site` (a name) narrows a tag purge to one site.
    """

    kind: PurgeKind
    value: str
    soft: bool = False
    site: str | None = None
