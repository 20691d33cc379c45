"""How many replies a network gets: a flood with forged sources is no tool against its victim. No clock."""

from __future__ import annotations

from array import array
from enum import Enum

NETWORKS = 65_536  # that are told apart; more share
NETWORK_OCTETS = {4: 3, 16: 7}  # by length of an address: /24 and /56


class Verdict(Enum):
    """What becomes of a reply."""

    ANSWER = "answer"
    TRUNCATE = "truncate"  # a client that is real asks again over TCP
    SILENCE = "silence"


class Rates:
    """A bucket of `limit` replies for each network, refilled within a second.

    Of the replies beyond it every `slip`-th is truncated, the others are not sent (0: none is sent).
    `salt` keeps others from finding networks that share a bucket.
    """

    def __init__(self, limit: int, slip: int, salt: bytes) -> None:
        self.limit = float(limit)
        self._slip = slip
        self._salt = salt
        self._left = array("d", [self.limit]) * NETWORKS
        self._filled = array("d", [0.0]) * NETWORKS
        self._beyond = array("L", [0]) * NETWORKS

    def allow(self, address: bytes, now: float) -> bool:
        """Whether one more reply to `address` (4 or 16 octets) is within the limit at `now` (monotonic)."""
        at = self._bucket(address)
        left = min(self._left[at] + (now - self._filled[at]) * self.limit, self.limit)
        self._filled[at] = now
        self._left[at] = left - 1.0 if left >= 1.0 else max(left, 0.0)
        return left >= 1.0

    def instead(self, address: bytes) -> Verdict:
        """What becomes of a reply to `address` that is beyond the limit."""
        at = self._bucket(address)
        self._beyond[at] = (self._beyond[at] + 1) & 0xFFFFFFFF
        slips = self._slip and self._beyond[at] % self._slip == 0
        return Verdict.TRUNCATE if slips else Verdict.SILENCE

    def admit(self, address: bytes, now: float) -> Verdict:
        """What becomes of one more reply to `address` at `now`."""
        return Verdict.ANSWER if self.allow(address, now) else self.instead(address)

    def _bucket(self, address: bytes) -> int:
        return hash((self._salt, address[: NETWORK_OCTETS[len(address)]])) % NETWORKS
