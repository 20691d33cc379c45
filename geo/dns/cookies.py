"""DNS cookies: whose source address is proven (RFC 7873), made as all servers make them (RFC 9018).

Pure: the clock is an argument, in seconds since 1970.
"""

from __future__ import annotations

from dataclasses import dataclass

from geo.dns.edns import CLIENT_COOKIE
from geo.dns.siphash import siphash24

OLDEST, NEWEST, FRESH = 3600, 300, 1800  # seconds (RFC 9018 §4.3)
SECRET_SIZE = 16
_VERSION = b"\x01\0\0\0"


@dataclass(frozen=True, slots=True)
class Cookies:
    """The secrets of server cookies: the first makes them, each of them recognises its own."""

    secrets: tuple[bytes, ...]

    def __post_init__(self) -> None:
        for secret in self.secrets:
            if len(secret) != SECRET_SIZE:
                raise ValueError(f"a cookie secret has {SECRET_SIZE} octets, this one {len(secret)}")

    def make(self, client: bytes, address: bytes, now: int) -> bytes:
        """Client and server cookie for the client `client` (8 octets) at `address` (4 or 16 octets)."""
        stamped = client + _VERSION + (now & 0xFFFFFFFF).to_bytes(4)
        return stamped + siphash24(self.secrets[0], stamped + address)

    def answer(self, cookie: bytes, address: bytes, now: int) -> tuple[bytes, bool]:
        """The cookie to answer `cookie` with, and whether that one proves the address (RFC 9018 §4)."""
        client, server = cookie[:CLIENT_COOKIE], cookie[CLIENT_COOKIE:]
        age = self._age(client, server, address, now)
        if age is None:
            return self.make(client, address, now), False
        return (cookie if age < FRESH else self.make(client, address, now)), True

    def _age(self, client: bytes, server: bytes, address: bytes, now: int) -> int | None:
        """Seconds since `server` was made; None where it is not ours, or too old."""
        if len(server) != 16 or server[:4] != _VERSION:
            return None
        age = (now - int.from_bytes(server[4:8])) & 0xFFFFFFFF  # serial arithmetic (RFC 1982)
        if age >= 2**31:
            age -= 2**32
        if not -NEWEST <= age <= OLDEST:
            return None
        stamped = client + server[:8] + address
        return age if any(siphash24(one, stamped) == server[8:] for one in self.secrets) else None
