"""Who passes a visitor's request on within the fleet, and as what the next one is asked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from edge.position import Position


class Tier(IntEnum):
    """As what a node is asked. Hops lead to higher ones only, so that none can lead back."""

    VISITOR = 0  # by a visitor
    OWNER = 1  # as the key's owner in its PoP
    SHIELD = 2  # as a node of the site's shield PoP


@dataclass(frozen=True, slots=True)
class Asker:
    """The node called `name`, or a worker of this very node if `inner`, that asks us as `tier`.

    It has applied the journal up to `position`; `variant` is what the site's own rules made of the visitor.
    What is older than `ago` seconds is outdated for it.
    """

    name: str
    tier: Tier
    inner: bool
    position: Position
    variant: str | None
    ago: float | None = None
