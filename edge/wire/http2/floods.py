"""What costs a client little and a server much, and how much of it is borne (RFC 9113 §10.5). Pure."""

from __future__ import annotations


class Allowance:
    """So many at once, and so many a second after that."""

    __slots__ = ("_at", "_left", "_most", "_per_second")

    def __init__(self, most: int, per_second: float, now: float) -> None:
        self._most = float(most)
        self._per_second = per_second
        self._left = float(most)
        self._at = now

    def spend(self, now: float) -> bool:
        """Whether one more may be."""
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Patience:
    """How much of it a connection has left. Each method says whether it may go on."""

    __slots__ = ("_idle_frames", "_resets")

    def __init__(self, streams: int, now: float) -> None:
        """`streams` is how many a client may have at once."""
        self._resets = Allowance(2 * streams, streams / 4, now)
        self._idle_frames = Allowance(1_000, 100, now)

    def reset(self, now: float) -> bool:
        """The client gave up a stream that was being answered, or made an error of one (CVE-2023-44487)."""
        return self._resets.spend(now)

    def idle_frame(self, now: float) -> bool:
        """A frame that brings nothing: SETTINGS, PING, PRIORITY, empty DATA (CVE-2019-9512 to 9518)."""
        return self._idle_frames.spend(now)
