"""A trade as a chain of signed documents, each bound to the one before by its hash. Pure, and offline.

    offer (buyer) → acceptance (seller) → payment (buyer) → handover (buyer) → review (each, once)

Each is a Nostr event of kind 3402: its id is the SHA-256 of all that it says, its signature is BIP-340. The
acceptance commits to the hash of a word that the seller shows as a QR code when they meet; the handover
receipt says the word, which nobody knows who was not there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import msgspec

from origin.contract import Money
from origin.money import money
from origin.p2p.event import Event, Unacceptable, verify

TRADE = 3402
LONGEST_CHAIN = 6
HEX = frozenset("0123456789abcdef")

Step = Literal["offer", "acceptance", "payment", "handover", "review"]
STEPS: tuple[Step, ...] = get_args(Step)
FOLLOWS: dict[Step, Step] = dict(zip(STEPS[1:], STEPS, strict=False))  # what each is bound to


class BrokenChain(ValueError):
    """It proves nothing; the text names the document by its number and step, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Trade:
    """What a chain proves so far. Reviews are stars, 1 to 5, by who gave them."""

    listing: str  # the id of the listing's event
    buyer: str
    seller: str
    price: Money
    step: Step
    payment: str = ""  # the reference at the payment's provider
    lock: str = ""  # SHA-256 of the word that is shown at the handover
    reviews: tuple[tuple[str, int], ...] = ()


def read_chain(text: bytes) -> list[Event]:
    """A file's events: a JSON array. Raises BrokenChain."""
    try:
        return msgspec.json.decode(text, type=list[Event])
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise BrokenChain(f"file: {error}, expected a JSON array of signed events") from None


def prove(chain: Sequence[Event]) -> Trade:
    """What `chain` proves. Raises BrokenChain for a missing, altered, strange or misplaced document."""
    if not 1 <= len(chain) <= LONGEST_CHAIN:
        raise BrokenChain(f"file: got {len(chain)} documents, expected 1 to {LONGEST_CHAIN}")
    trade: Trade | None = None
    passed: dict[Step, Event] = {}
    for number, event in enumerate(chain, 1):
        try:
            step = _step(event)
            trade = _offered(event, step) if trade is None else _after(trade, passed, event, step)
        except (Unacceptable, ValueError) as error:
            raise BrokenChain(f"document {number} ({event.first('step') or 'no step'}): {error}") from None
        passed[step] = event
    assert trade is not None
    return trade


def _step(event: Event) -> Step:
    verify(event)
    if event.kind != TRADE:
        raise ValueError(f"kind: got {event.kind}, expected {TRADE}")
    said = event.first("step")
    for step in STEPS:
        if said == step:
            return step
    raise ValueError(f"step: got {said!r}, expected one of {', '.join(STEPS)}")


def _offered(event: Event, step: Step) -> Trade:
    if step != "offer":
        raise ValueError(f"step: got {step}, expected a chain to begin with an offer")
    price = next((tag for tag in event.tags if tag[:1] == ["price"] and len(tag) == 3), None)
    if price is None:
        raise ValueError('price: got none, expected ["price", "85000", "IDR"]')
    seller = _hash(event, "p")
    if seller == event.pubkey:
        raise ValueError("p: got the buyer himself, expected the seller")
    return Trade(_hash(event, "e"), event.pubkey, seller, money(price[1], price[2]), "offer")


def _after(trade: Trade, passed: dict[Step, Event], event: Event, step: Step) -> Trade:
    before = FOLLOWS.get(step)
    if before is None or before not in passed or (step in passed and step != "review"):
        raise ValueError(f"step: got {step} after {trade.step}")
    if event.first("prev") != passed[before].id:
        raise ValueError(f"prev: got {event.first('prev')!r}, expected the id of the {before}")
    if event.created_at < passed[before].created_at:
        raise ValueError(f"created_at: it is earlier than the {before}")
    _signed_by(event, *_signers(trade, step))
    match step:
        case "acceptance":
            return replace(trade, step=step, lock=_hash(event, "lock"))
        case "payment":
            reference = event.first("reference") or ""
            if not reference:
                raise ValueError("reference: got nothing, expected the payment's own, or cash")
            return replace(trade, step=step, payment=reference)
        case "handover":
            if hashlib.sha256((event.first("word") or "").encode()).hexdigest() != trade.lock:
                raise ValueError("word: it is not the one that the acceptance is locked with")
            return replace(trade, step=step)
        case _:
            return replace(trade, step=step, reviews=(*trade.reviews, _review(trade, event)))


def _signers(trade: Trade, step: Step) -> tuple[str, ...]:
    match step:
        case "acceptance":
            return (trade.seller,)
        case "review":
            return (trade.buyer, trade.seller)
        case _:
            return (trade.buyer,)


def _signed_by(event: Event, *keys: str) -> None:
    if event.pubkey not in keys:
        raise ValueError(
            f"pubkey: got {event.pubkey[:16]}…, expected {' or '.join(key[:16] for key in keys)}…"
        )


def _review(trade: Trade, event: Event) -> tuple[str, int]:
    stars = event.first("stars") or ""
    if stars not in ("1", "2", "3", "4", "5"):
        raise ValueError(f"stars: got {stars[:10]!r}, expected 1 to 5")
    if any(who == event.pubkey for who, _ in trade.reviews):
        raise ValueError("pubkey: each reviews once")
    return event.pubkey, int(stars)


def _hash(event: Event, name: str) -> str:
    value = event.first(name) or ""
    if len(value) != 64 or not HEX.issuperset(value):
        raise ValueError(f"{name}: got {value[:20]!r}, expected 64 hexadecimal digits")
    return value
