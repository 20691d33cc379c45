"""A node's health as control sees it. Pure: what was heard and when, in; a verdict, out."""

from __future__ import annotations

from dataclasses import dataclass

from geo.fleet import Health

SILENCE = 3.0  # seconds without a heartbeat that make a node unhealthy
COLD = 10.0  # seconds after control's start in which a node that was not heard yet is unknown
RISE = 2  # good heartbeats in a row that make a node healthy


@dataclass(frozen=True, slots=True)
class Heard:
    """What control knows of one node. Times are monotonic seconds; None where it was never heard."""

    started: float  # control's own start
    beat: float | None = None
    good_beats: int = 0  # ready and caught up, in a row


def verdict(heard: Heard, before: Health, now: float) -> Health:
    """The node's health. Falls at once when it is silent or says so; rises after `RISE` good heartbeats."""
    if heard.beat is None:
        return Health.UNKNOWN if now - heard.started < COLD else Health.UNHEALTHY
    if now - heard.beat > SILENCE:
        return Health.UNHEALTHY
    if heard.good_beats >= RISE:
        return Health.HEALTHY
    return Health.UNKNOWN if before is Health.UNKNOWN else Health.UNHEALTHY
