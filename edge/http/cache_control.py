"""Cache-Control as values (RFC 9111 §5.2), and its targeted kin (RFC 9213).

A word that is malformed is read as the RFCs say: freshness that cannot be understood is no freshness,
a permission that cannot be understood is not given.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import http_sf

from edge.http.lists import members, names, unquote
from edge.http.remembered import remembered

FOREVER = 2**31  # RFC 9111 §1.2.2: what a larger number means
Pair = tuple[str, str | None]
NO_NAMES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ResponseDirectives:
    """What an origin says of an answer (RFC 9111 §5.2.2, RFC 5861). Durations are seconds.

    `no_cache_fields` and `private_fields` hold the names of the qualified forms; the plain forms are
    `no_cache` and `private`. A malformed lifetime is 0, for the answer is then to be taken as stale.
    """

    max_age: int | None = None
    s_maxage: int | None = None
    no_cache: bool = False
    no_cache_fields: frozenset[str] = NO_NAMES
    private: bool = False
    private_fields: frozenset[str] = NO_NAMES
    no_store: bool = False
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    no_transform: bool = False
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None


@dataclass(frozen=True, slots=True)
class RequestDirectives:
    """What a client asks for (RFC 9111 §5.2.1). `max_stale` without a value is FOREVER."""

    max_age: int | None = None
    max_stale: int | None = None
    min_fresh: int | None = None
    stale_if_error: int | None = None
    no_cache: bool = False
    no_store: bool = False
    no_transform: bool = False
    only_if_cached: bool = False


SILENT_RESPONSE = ResponseDirectives()
SILENT_REQUEST = RequestDirectives()


def delta_seconds(text: str | None) -> int | None:
    """A non-negative number of seconds (RFC 9111 §1.2.2), or None if `text` is none."""
    if text is None or not (text.isascii() and text.isdigit()):
        return None
    digits = text.lstrip("0")
    if len(digits) > 10:
        return FOREVER
    return min(int(digits or "0"), FOREVER)


def _pairs(value: str) -> Iterable[Pair]:
    """(name in lower case, argument) of each directive; the first of a name wins (RFC 9111 §4.2.1)."""
    seen: dict[str, str | None] = {}
    for member in members(value):
        name, equals, argument = member.partition("=")
        seen.setdefault(name.lower(), unquote(argument) if equals else None)
    return seen.items()


@remembered(4096)
def parse_response(value: str) -> ResponseDirectives:
    """The directives of a response's Cache-Control. Unknown ones are ignored; never raises."""
    return _response(_pairs(value))


@remembered(4096)
def parse_request(value: str) -> RequestDirectives:
    """The directives of a request's Cache-Control. Unknown and malformed ones are ignored; never raises."""
    given = dict(_pairs(value))
    max_stale = delta_seconds(given.get("max-stale"))
    if "max-stale" in given and given["max-stale"] is None:
        max_stale = FOREVER
    return RequestDirectives(
        max_age=delta_seconds(given.get("max-age")),
        max_stale=max_stale,
        min_fresh=delta_seconds(given.get("min-fresh")),
        stale_if_error=delta_seconds(given.get("stale-if-error")),
        no_cache="no-cache" in given,
        no_store="no-store" in given,
        no_transform="no-transform" in given,
        only_if_cached="only-if-cached" in given,
    )


@remembered(4096)
def parse_targeted(value: str) -> ResponseDirectives | None:
    """The directives of a targeted field; None if it must be ignored: empty or malformed (RFC 9213 §2.1)."""
    try:
        dictionary = http_sf.parse(value.encode("latin-1"), tltype="dictionary")
    except (ValueError, UnicodeEncodeError):
        return None
    if not isinstance(dictionary, dict) or not dictionary:
        return None
    pairs: list[Pair] = []
    for name, member in dictionary.items():
        inner = member[0] if isinstance(member, tuple) else member
        if name in _SECONDS:
            if type(inner) is not int or inner < 0:
                return None
            pairs.append((name, str(inner)))
        elif inner is True:
            pairs.append((name, None))
        elif name in _QUALIFIED and isinstance(inner, str):
            pairs.append((name, str(inner)))
        elif name in _FLAGS or name in _QUALIFIED:
            return None
    return _response(pairs)


_SECONDS = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})
_QUALIFIED = frozenset({"no-cache", "private"})
_FLAGS = frozenset(
    {"no-store", "public", "must-revalidate", "proxy-revalidate", "must-understand", "no-transform"}
)


def _response(pairs: Iterable[Pair]) -> ResponseDirectives:
    given = dict(pairs)
    no_cache, no_cache_fields = _qualified(given, "no-cache")
    private, private_fields = _qualified(given, "private")
    return ResponseDirectives(
        max_age=_lifetime(given, "max-age"),
        s_maxage=_lifetime(given, "s-maxage"),
        no_cache=no_cache,
        no_cache_fields=no_cache_fields,
        private=private,
        private_fields=private_fields,
        no_store="no-store" in given,
        public="public" in given,
        must_revalidate="must-revalidate" in given,
        proxy_revalidate="proxy-revalidate" in given,
        must_understand="must-understand" in given,
        no_transform="no-transform" in given,
        stale_while_revalidate=delta_seconds(given.get("stale-while-revalidate")),
        stale_if_error=delta_seconds(given.get("stale-if-error")),
    )


def _lifetime(given: dict[str, str | None], name: str) -> int | None:
    """A lifetime's seconds; 0 where it is there but malformed (RFC 9111 §4.2.1)."""
    return (delta_seconds(given[name]) or 0) if name in given else None


def _qualified(given: dict[str, str | None], name: str) -> tuple[bool, frozenset[str]]:
    """Whether the plain form is meant, and the names of the qualified one (RFC 9111 §5.2.2.4, §5.2.2.7)."""
    if name not in given:
        return False, NO_NAMES
    argument = given[name]
    listed = frozenset(names(argument)) if argument is not None else NO_NAMES
    return not listed, listed
