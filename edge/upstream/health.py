"""What is known of an origin's health: from regular checks, and from what happened to real requests."""

from __future__ import annotations

from typing import Literal

from edge.document.origins import HealthCheck

State = Literal["up", "ejected", "down"]
LONGEST_EJECTION = 16  # times HealthCheck.eject


class OriginHealth:
    """One origin's health. Pure: every moment is an argument, in monotonic seconds.

    `down` is what checks found and only checks undo. `ejected` is what requests found: the origin is avoided
    for a while, then tried again; each failure right after that doubles the while.
    """

    __slots__ = ("_bad_checks", "_down", "_ejections", "_failures", "_good_checks", "_until", "check")

    def __init__(self, check: HealthCheck) -> None:
        self.check = check
        self._down = False
        self._good_checks = 0
        self._bad_checks = 0
        self._failures = 0
        self._ejections = 0
        self._until = 0.0

    def state(self, now: float) -> State:
        """What it is at `now`."""
        if self._down:
            return "down"
        return "ejected" if now < self._until else "up"

    def failed(self, now: float) -> None:
        """A request could not be answered."""
        self._failures += 1
        if self._failures >= self.check.fall and now >= self._until:
            self._until = now + self.check.eject * min(LONGEST_EJECTION, 2**self._ejections)
            self._ejections = min(self._ejections + 1, LONGEST_EJECTION)

    def answered(self) -> None:
        """A request was answered, whatever the answer."""
        self._failures = 0
        self._ejections = 0
        self._until = 0.0

    @property
    def down(self) -> bool:
        """What regular checks found."""
        return self._down

    def judged(self, down: bool) -> None:
        """Regular checks that somebody else made found this."""
        self._good_checks = self._bad_checks = 0
        if self._down and not down:
            self.answered()
        self._down = down

    def checked(self, good: bool) -> None:
        """A regular check ended."""
        if good:
            self._good_checks += 1
            self._bad_checks = 0
            if self._good_checks >= self.check.rise:
                self._down = False
                self.answered()
        else:
            self._bad_checks += 1
            self._good_checks = 0
            if self._bad_checks >= self.check.fall:
                self._down = True
