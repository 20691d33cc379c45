"""Moments as providers write them (ISO 8601), and whether they are near enough."""

from __future__ import annotations

from datetime import datetime

from edge.webhooks.contract import TOLERANCE, Unverified


def near(text: str, now: float, name: str, past: float = TOLERANCE) -> None:
    """Raises Unverified unless `text`, with its zone, is at most `past` seconds ago, and not ahead."""
    try:
        at = datetime.fromisoformat(text if len(text) <= 40 else "")
        if at.tzinfo is None:
            raise ValueError("no time zone")
        ago = now - at.timestamp()
    except (ValueError, OverflowError):
        raise Unverified(f"{name}: got {text[:40]!r}, expected ISO 8601 with a zone", "malformed") from None
    if not -TOLERANCE <= ago <= past:
        raise Unverified(f"{name}: more than {past if ago > 0 else TOLERANCE:g} s from now", "time")
