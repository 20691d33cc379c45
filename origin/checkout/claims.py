"""What follows when a buyer's bank claims money back, and when a provider pays out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from origin.checkout.providers.contract import DisputeState, PayoutState

# Later words of a dispute: one that is over is not opened again, though what was lost may be won after all.
RANK: Mapping[DisputeState | None, int] = {None: -1, "inquiry": 0, "opened": 1, "lost": 2, "won": 3}
AWAY: frozenset[DisputeState | None] = frozenset({"opened", "lost"})  # the money is with the buyer's bank
PAYOUTS: Mapping[PayoutState | None, int] = {None: -1, "pending": 0, "paid": 1, "failed": 2}

Movement = Literal["chargeback", "reversal"]
Entry = Literal["reserve", "post", "void", "reverse"]


def later(before: DisputeState | None, said: DisputeState) -> DisputeState:
    """What is true of a dispute after news that may be old."""
    return said if before is None or RANK[said] > RANK[before] else before


def movement(before: DisputeState | None, now: DisputeState) -> Movement | None:
    """What the step moves: money goes when a claim is opened, and comes back when it is won."""
    if now in AWAY and before not in AWAY:
        return "chargeback"
    return "reversal" if now == "won" and before in AWAY else None


def entries(before: PayoutState | None, said: PayoutState) -> tuple[Entry, ...]:
    """How the books follow a payout: reserved while it is under way; one that bounced is taken back."""
    if PAYOUTS[said] <= PAYOUTS[before]:
        return ()
    match said:
        case "pending":
            return ("reserve",)
        case "paid":
            return ("reserve", "post") if before is None else ("post",)
        case "failed" if before == "paid":
            return ("reverse",)
        case "failed":
            return ("void",) if before == "pending" else ()
