"""What a client prefers: quality values (RFC 9110 §12.4.2), Accept-Encoding, Accept-Language."""

from __future__ import annotations

import re

from edge.http.lists import members
from edge.http.remembered import remembered

_QUALITY = re.compile(r"(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)


@remembered(4096)
def preferences(value: str) -> tuple[tuple[str, float], ...]:
    """(lower-case name, quality) of each member in order; a malformed quality counts as 0.

    Parameters other than `q` are ignored.
    """
    found: list[tuple[str, float]] = []
    for member in members(value):
        name, *parameters = (part.strip(" \t") for part in member.split(";"))
        if not name:
            continue
        quality = 1.0
        for parameter in parameters:
            key, _, text = parameter.partition("=")
            if key.strip(" \t").lower() == "q":
                text = text.strip(" \t")
                quality = float(text) if _QUALITY.fullmatch(text) else 0.0
                break
        found.append((name.lower(), quality))
    return tuple(found)


def acceptable(value: str | None, coding: str) -> float:
    """The quality of content-coding `coding` under Accept-Encoding `value` (RFC 9110 §12.5.3).

    Without the field only `identity` is taken as wanted, as clients that cannot decode do not send it.
    """
    if value is None:
        return 1.0 if coding == "identity" else 0.0
    wildcard: float | None = None
    for name, quality in preferences(value):
        if name == coding or (name == "x-gzip" and coding == "gzip"):
            return quality
        if name == "*":
            wildcard = quality
    if wildcard is not None:
        return wildcard
    return 1.0 if coding == "identity" else 0.0


@remembered(4096)
def choose_encoding(value: str | None, offers: tuple[str, ...]) -> str | None:
    """The best of `offers` (in our order of preference) that the client accepts, or None for identity.

    The client's higher quality wins; among equals our order decides. Identity is chosen only if the client
    rates it above every offer.
    """
    if value is None:
        return None
    best: str | None = None
    best_quality = 0.0
    for coding in offers:
        quality = acceptable(value, coding)
        if quality > best_quality:
            best, best_quality = coding, quality
    if best is not None and _explicit(value, "identity") > best_quality:
        return None
    return best


def _explicit(value: str, coding: str) -> float:
    return next((quality for name, quality in preferences(value) if name == coding), 0.0)


@remembered(4096)
def normal_languages(value: str) -> str:
    """Accept-Language with white space, case and the order of equals taken away; `q=0` kept."""
    ranked = sorted(preferences(value), key=lambda pair: (-pair[1], pair[0]))
    return ",".join(name if quality == 1.0 else f"{name};q={quality:g}" for name, quality in ranked)


@remembered(4096)
def favourite_language(value: str) -> str | None:
    """The one language that `value` ranks above all others, or None if there is no single one."""
    ranked = sorted(preferences(value), key=lambda pair: -pair[1])
    if not ranked or ranked[0][1] == 0.0 or ranked[0][0] == "*":
        return None
    if len(ranked) > 1 and ranked[1][1] == ranked[0][1]:
        return None
    return ranked[0][0]
