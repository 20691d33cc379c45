"""What rules see of an attempt (pure): every name, what it means, and what it is where nothing is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import asin, cos, radians, sin, sqrt

from origin.contract import Attempt
from origin.money import decimal

Fact = str | int | float | bool
UNKNOWN = -1.0  # seconds and speeds that nobody knows
LEAST_HOURS = 1 / 60  # two attempts at once are no infinite speed
EARTH_RADIUS_KM = 6371.0

HOUR, DAY = 3600.0, 86_400.0
COUNTED = ("address", "network", "device", "email", "card")
BY_CARD = ("card_hour", "card_day", "cards_day", "address_cards_hour")

MEANINGS: Mapping[str, str] = {
    "amount": "the order's amount in whole units, such as 85000.0",
    "currency": "its currency",
    "method": "card, qris, …",
    "provider": "who takes the payment",
    "country": "where the visitor's address is, two letters",
    "asn": "the number of his network, 0: unknown",
    "network_kind": "hosting, proxy, or nothing",
    "card_country": "where the card was given out",
    "shipping_country": "where the goods go",
    "billing_country": "where the buyer says he lives",
    "card_abroad": "the card's country is known and not the visitor's",
    "shipping_abroad": "the goods' country is known and not the visitor's",
    "email_domain": "what stands behind the @",
    "has_device": "the browser has a mark of its own",
    "session_age": "seconds since the session began, -1: unknown",
    "page_age": "seconds since the page was looked at, -1: unknown",
    "travel_kmh": "how fast the same card, e-mail or device came here from its last country, -1: unknown",
    "cards_day": "different cards of this device or this e-mail within a day, the more of the two",
    "address_cards_hour": "different cards of this address within an hour; many buyers may share one",
    **{
        f"{name}_{span}": f"attempts of the same {name} within {article} {span}, this one left out"
        for name in COUNTED
        for span, article in (("hour", "an"), ("day", "a"))
    },
}


@dataclass(frozen=True, slots=True)
class Before:
    """An earlier attempt of the same card, e-mail or device: the country it came from, and when."""

    country: str
    at: float


def facts_of(
    attempt: Attempt,
    now: float,
    network_kind: str,
    counts: Mapping[str, int],
    before: Before | None,
    centres: Mapping[str, tuple[float, float]],
) -> dict[str, Fact]:
    """Every name of `MEANINGS`. `counts` are attempts by name and span; `centres` the countries' places."""
    country = (attempt.visitor.country or "").upper()
    card, shipping = attempt.card_country.upper(), attempt.shipping_country.upper()
    known: dict[str, Fact] = {
        "amount": float(decimal(attempt.amount)),
        "currency": attempt.amount.currency,
        "method": attempt.method,
        "provider": attempt.provider,
        "country": country,
        "asn": attempt.visitor.asn or 0,
        "network_kind": network_kind,
        "card_country": card,
        "shipping_country": shipping,
        "billing_country": attempt.billing_country.upper(),
        "card_abroad": bool(card and country and card != country),
        "shipping_abroad": bool(shipping and country and shipping != country),
        "email_domain": attempt.email.rpartition("@")[2].strip().lower(),
        "has_device": bool(attempt.device),
        "session_age": _age(attempt.session_started, now),
        "page_age": _age(attempt.page_viewed, now),
        "travel_kmh": speed(country, now, before, centres),
        "cards_day": counts.get("cards_day", 0),
        "address_cards_hour": counts.get("address_cards_hour", 0),
    }
    for name in COUNTED:
        for span in ("hour", "day"):
            known[f"{name}_{span}"] = counts.get(f"{name}_{span}", 0)
    return known


def recognised(
    facts: Mapping[str, Fact], card_country: str, counts: Mapping[str, int], travel_kmh: float
) -> dict[str, Fact]:
    """What was known of an attempt, and what its card adds: counts by that card, and how far it came."""
    country, card = facts["country"], card_country.upper()
    travelled = facts["travel_kmh"]
    assert isinstance(travelled, int | float)
    return {
        **facts,
        "card_country": card,
        "card_abroad": bool(card and country and card != country),
        "travel_kmh": max(float(travelled), travel_kmh),
        **{name: counts[name] for name in BY_CARD if name in counts},
    }


def speed(
    country: str, now: float, before: Before | None, centres: Mapping[str, tuple[float, float]]
) -> float:
    """Kilometres an hour between the middles of two countries; 0 within one."""
    if before is None or not before.country or not country:
        return UNKNOWN
    if before.country == country:
        return 0.0
    if country not in centres or before.country not in centres:
        return UNKNOWN
    hours = max(LEAST_HOURS, (now - before.at) / HOUR)
    return round(_distance(centres[country], centres[before.country]) / hours, 1)


def _distance(here: tuple[float, float], there: tuple[float, float]) -> float:
    latitude, other = radians(here[0]), radians(there[0])
    half = (
        sin((other - latitude) / 2) ** 2
        + cos(latitude) * cos(other) * sin(radians(there[1] - here[1]) / 2) ** 2
    )
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(half)))


def _age(since: float | None, now: float) -> float:
    return UNKNOWN if since is None else max(0.0, round(now - since, 1))
