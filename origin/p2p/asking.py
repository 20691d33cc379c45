"""What a visitor of the listings' pages asks for, read from an address. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from origin.contract import Money
from origin.money import exponent, money
from origin.p2p.geohash import GEOHASH, centre
from origin.p2p.searching import Wanted

LONGEST_QUERY = 100
DEFAULT_KM, MOST_KM = 25, 20_000


class BadQuestion(ValueError):
    """A parameter is wrong: the text names it, its value, and what would be accepted."""


def read_question(query: Mapping[str, str], currency: str) -> Wanted:
    """`q`, `min` and `max` in whole units of `currency`, `near` (a geohash) and `km`. Raises BadQuestion."""
    currency = (query.get("currency") or currency).upper()
    try:
        exponent(currency)
    except ValueError as error:
        raise BadQuestion(str(error)) from None
    least, most = (_amount(name, query.get(name, ""), currency) for name in ("min", "max"))
    near = query.get("near", "")
    if near and not GEOHASH.match(near):
        raise BadQuestion(f"near: got {near[:20]!r}, expected a geohash such as qqguw")
    return Wanted(
        words=tuple(re.findall(r"\w+", query.get("q", "")[:LONGEST_QUERY].lower())),
        currency=currency if least or most else "",
        least=None if least is None else least.minor,
        most=None if most is None else most.minor,
        near=centre(near) if near else None,
        km=_km(query.get("km") or str(DEFAULT_KM)),
    )


def _amount(name: str, text: str, currency: str) -> Money | None:
    if not text:
        return None
    try:
        return money(text, currency)
    except ValueError as error:
        raise BadQuestion(f"{name}: {error}") from None


def _km(text: str) -> float:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:6]) <= MOST_KM:
        raise BadQuestion(f"km: got {text[:20]!r}, expected 1 to {MOST_KM}")
    return float(text)
