"""When a provider that fails is left alone, and when it is tried again. No clock: moments are arguments."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_REST = 600.0


@dataclass(slots=True)
class Breaker:
    """Counts failures in a row. After `failures` of them a provider rests, each time twice as long."""

    failures: int
    rest: float
    _failed: int = 0
    _rests: int = 0
    _until: float = 0.0

    def resting(self, now: float) -> bool:
        """Whether it should not be asked now; once its rest is over, one request may try."""
        return now < self._until

    def worked(self) -> None:
        """It answered."""
        self._failed = self._rests = 0
        self._until = 0.0

    def failed(self, now: float) -> None:
        """It did not answer, or could not."""
        self._failed += 1
        if self._failed >= self.failures:
            self._until = now + min(LONGEST_REST, self.rest * 2.0 ** min(self._rests, 10))
            self._rests += 1
