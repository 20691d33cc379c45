"""Cookies in requests and answers (RFC 6265)."""

from __future__ import annotations

from functools import lru_cache

from edge.http.message import Fields

Pair = tuple[str, str]
MARKER = "tepi_personal"  # the edge's own: whoever bears it gets pages of his own; no origin sees it


def cookies(fields: Fields) -> tuple[Pair, ...]:
    """Name and value of each of a request's cookies, in order (§4.2.1); nonsense is skipped."""
    return pairs_of(fields.all("cookie"))


@lru_cache(maxsize=64)  # a request's are asked for more than once
def pairs_of(lines: tuple[str, ...]) -> tuple[Pair, ...]:
    """Name and value of each cookie in the `lines` of Cookie, in order; nonsense is skipped."""
    pairs = []
    for line in lines:
        for pair in line.split(";"):
            name, equals, value = pair.partition("=")
            if equals and (name := name.strip()):
                pairs.append((name, value.strip()))
    return tuple(pairs)


def set_cookies(fields: Fields) -> list[Pair]:
    """Name and value of each cookie that an answer sets, in order (§5.2); nonsense is skipped."""
    pairs = []
    for line in (*fields.all("set-cookie"), *fields.all("set-cookie2")):
        name, equals, value = line.partition(";")[0].partition("=")
        if equals and (name := name.strip()):
            pairs.append((name, value.strip()))
    return pairs


def without_cookie(value: str, name: str) -> str:
    """A Cookie field's `value` less the cookie called `name`; empty if there was no other."""
    if name not in value:
        return value
    kept = (pair.strip() for pair in value.split(";") if pair.partition("=")[0].strip() != name)
    return "; ".join(pair for pair in kept if pair)
