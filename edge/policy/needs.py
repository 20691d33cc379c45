"""How new an answer must be for the node that asks: of after a purge, or an unsafe request. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from edge.policy.entry import Entry
from edge.position import Position


@dataclass(frozen=True, slots=True)
class Needs:
    """Nothing that was fetched before the journal's `position`, nor older than since `since` (monotonic)."""

    position: Position | None = None
    since: float | None = None

    def are_met_by(self, entry: Entry) -> bool:
        """Whether `entry` is as new as that."""
        if self.position is not None and not entry.position.reaches(self.position):
            return False
        return self.since is None or entry.freshness.born >= self.since

    def after_waiting(self) -> Needs | None:
        """The same once a fetch was waited for that was for them: what came may tell an earlier Date."""
        return None if self.position is None else Needs(self.position)

    def word(self) -> str:
        """What tells these needs from others."""
        at = "" if self.position is None else f"{self.position.number} {self.position.lineage}"
        return at if self.since is None else f"{at} {self.since!r}"


def needs(here: Position, asked: Position, since: float | None) -> Needs | None:
    """What a node that stands at `asked` needs of one that stands `here`; None if that is given."""
    position = None if here.reaches(asked) else asked
    return None if position is None and since is None else Needs(position, since)
