"""What carriers say of parcels, in twelve canonical statuses. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

DATA = Path(__file__).parent.parent / "data" / "statuses.toml"

Status = Literal[
    "pending", "picked_up", "in_transit", "on_hold", "out_for_delivery", "ready_for_pickup", "delivered",
    "delivery_delayed", "delivery_failed", "return_to_sender", "cancelled", "unknown",
]  # fmt: skip
STATUSES: tuple[Status, ...] = get_args(Status)
FINAL: frozenset[Status] = frozenset({"delivered", "return_to_sender", "cancelled"})
LONGEST = 120
MOST_SCANS = 200


class Unreadable(ValueError):
    """A carrier's document that says nothing of a parcel; the text names the field."""


@dataclass(frozen=True, slots=True)
class Scan:
    """One thing that happened to a parcel. `raw` is the carrier's word; `at` seconds since 1970."""

    at: float
    raw: str
    status: Status
    place: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class News:
    """What a carrier's document says: its own number of the parcel, and scans."""

    code: str
    scans: tuple[Scan, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """Where a carrier's document has what."""

    parcel: str
    code: str
    scans: str
    raw: str
    at: str
    text: str
    place: tuple[str, ...]


WORDS: dict[str, Words] = {
    "easypost": Words(
        "result", "tracking_code", "tracking_details", "status", "datetime", "message",
        ("tracking_location", "city"),
    ),
    "aftership": Words(
        "msg", "tracking_number", "checkpoints", "tag", "checkpoint_time", "message", ("city",)
    ),
    "shippo": Words(
        "data", "tracking_number", "tracking_history", "status", "status_date", "status_details",
        ("location", "city"),
    ),
}  # fmt: skip


@cache
def mappings() -> Mapping[str, Mapping[str, Status]]:
    """Canonical statuses by carrier and the carrier's word."""
    document: dict[str, dict[str, Status]] = tomllib.loads(DATA.read_text(encoding="utf-8"))
    return document


def canonical(carrier: str, raw: str) -> Status:
    """What a carrier's word means; a word that nobody knows is `unknown`."""
    return mappings()[carrier].get(raw.lower(), "unknown")


def is_known(carrier: str, raw: str) -> bool:
    """Whether it is a word that this carrier is known to say."""
    return raw.lower() in mappings()[carrier]


def status_of(scans: Iterable[Scan]) -> Status:
    """Where a parcel stands: what the latest scan says, in whatever order they came.

    What ended is not undone by a scan of before, nor by a word that nobody knows.
    """
    stands: Status = "pending"
    for scan in sorted(scans, key=lambda one: (one.at, one.status in FINAL)):
        if scan.status != "unknown" and not (stands in FINAL and scan.status not in FINAL):
            stands = scan.status
    return stands


def read_news(carrier: str, document: Mapping[str, Any]) -> News | None:
    """What a webhook says; None: it is not about a parcel. Raises Unreadable."""
    words = WORDS[carrier]
    parcel = document.get(words.parcel)
    if not isinstance(parcel, dict) or words.code not in parcel:
        return None
    code = _text(parcel, words.code)
    if not code:
        raise Unreadable(f"{words.parcel}.{words.code}: got nothing, expected the carrier's number")
    listed = parcel.get(words.scans) or []
    if not isinstance(listed, list):
        raise Unreadable(f"{words.parcel}.{words.scans}: expected a list")
    return News(code, tuple(_scan(carrier, words, one) for one in listed[-MOST_SCANS:]))


def _scan(carrier: str, words: Words, said: Any) -> Scan:
    if not isinstance(said, dict):
        raise Unreadable(f"{words.parcel}.{words.scans}: expected a list of objects")
    place: Any = said
    for step in words.place[:-1]:
        inner = place.get(step)
        place = inner if isinstance(inner, dict) else {}
    raw = _text(said, words.raw)
    return Scan(
        _moment(said.get(words.at), f"{words.parcel}.{words.scans}.{words.at}"),
        raw,
        canonical(carrier, raw),
        _text(place, words.place[-1]),
        _text(said, words.text),
    )


def _text(said: Mapping[str, Any], name: str) -> str:
    found = said.get(name)
    if not isinstance(found, str):
        return ""
    return found.replace("\0", "").encode("utf-8", "replace").decode()[:LONGEST]


def _moment(text: object, name: str) -> float:
    """RFC 3339 as seconds since 1970; without an offset it is UTC."""
    try:
        moment = datetime.fromisoformat(str(text))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Unreadable(f"{name}: got {str(text)[:40]!r}, expected a time as in RFC 3339") from None


SCHEMA_STATUS: Mapping[Status, str] = {
    "delivered": "OrderDelivered", "return_to_sender": "OrderReturned", "cancelled": "OrderCancelled",
    "ready_for_pickup": "OrderPickupAvailable", "delivery_failed": "OrderProblem", "on_hold": "OrderProblem",
    "pending": "OrderProcessing", "picked_up": "OrderInTransit", "in_transit": "OrderInTransit",
    "out_for_delivery": "OrderInTransit", "delivery_delayed": "OrderInTransit", "unknown": "OrderInTransit",
}  # fmt: skip


def described(number: str, carrier: str, scans: Sequence[Scan]) -> dict[str, Any]:
    """A parcel as schema.org's ParcelDelivery, and its timeline, the newest first. Nothing personal."""
    status = status_of(scans)
    return {
        "@context": "https://schema.org",
        "@type": "ParcelDelivery",
        "trackingNumber": number,
        "provider": {"@type": "Organization", "name": carrier},
        "deliveryStatus": f"https://schema.org/{SCHEMA_STATUS[status]}",
        "status": status,
        "timeline": [
            {
                "at": datetime.fromtimestamp(one.at, UTC).isoformat(),
                "status": one.status,
                "said": one.raw,
                "place": one.place,
                "text": one.text,
            }
            for one in sorted(scans, key=lambda scan: scan.at, reverse=True)
        ],
    }
