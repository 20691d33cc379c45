"""Where in control's journal a node stands."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """The last journal event that a node has applied: numbers compare within one lineage only."""

    lineage: str
    number: int

    def reaches(self, other: Position) -> bool:
        """Whether a node that stands here has applied `other` too."""
        return self.lineage == other.lineage and self.number >= other.number

    def next(self) -> Position:
        """Where a node stands after one more event."""
        return Position(self.lineage, self.number + 1)


# A node without control: nothing was ever applied, and its own purges are ordered by the pipeline itself.
ALONE = Position("alone", 0)
