"""Sets of networks, and how addresses are counted."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from edge.document.notation import Network

REMEMBERED = 8192


class Networks:
    """A set of networks that is asked often: answers for recent addresses are remembered."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = tuple(networks)
        self._remembered = lru_cache(maxsize=REMEMBERED)(self._search)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        """Whether `address` lies in one of them. What is no address lies in none."""
        return bool(self._networks) and self._remembered(address)

    def _search(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed.version == network.version and parsed in network for network in self._networks)


def plain(address: str) -> str:
    """`address` in its one spelling: IPv4 within IPv6 as IPv4, no zone. Raises ValueError."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


@lru_cache(maxsize=REMEMBERED)
def counted_as(address: str) -> str:
    """Whom limits count `address` as: itself, or for IPv6 its /64, which is one household."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    except ValueError:
        return address
