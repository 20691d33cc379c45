"""The OPT record: options off the wire and onto it (RFC 6891, 5001, 7828, 7871, 7873). Values only."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from struct import Struct

PAIR = Struct("!HH")
OPT = 41
OUR_SIZE = 1232  # RFC 9715 §3: no fragments
DO = 0x8000
CO = 0x4000  # a denial in one record is understood (RFC 9824 §5.1)
NSID, SUBNET, COOKIE, KEEPALIVE = 3, 8, 10, 11
CLIENT_COOKIE = 8
COOKIE_SIZES = frozenset((CLIENT_COOKIE, *range(16, 41)))  # RFC 7873 §4
_HEAD = Struct("!BHHIH")  # root, type, size, extended flags, RDLENGTH
_LONGEST = {0: 0, 1: 32, 2: 128}  # prefix by address family


@dataclass(frozen=True, slots=True)
class Subnet:
    """A client subnet (RFC 7871 §6). `address` has just the octets that `source` bits need."""

    family: int
    source: int
    address: bytes

    def text(self) -> str:
        """The address in text form, zeros behind the prefix; empty for family 0."""
        if self.family == 1:
            return socket.inet_ntop(socket.AF_INET, self.address.ljust(4, b"\0"))
        if self.family == 2:
            return socket.inet_ntop(socket.AF_INET6, self.address.ljust(16, b"\0"))
        return ""


@dataclass(frozen=True, slots=True)
class Edns:
    """The OPT record of a query (RFC 6891 §6.1). `cookie` is the client's, with the server's behind it."""

    size: int
    version: int
    do: bool
    subnet: Subnet | None = None
    cookie: bytes | None = None
    nsid: bool = False
    keepalive: bool = False
    compact: bool = False


class BadOption(Exception):
    """The options break their format; `edns` is the record's head."""

    def __init__(self, edns: Edns) -> None:
        self.edns = edns


def parse_opt(size: int, ttl: int, options: bytes) -> Edns:
    """The OPT record (RFC 6891 §6.1.3); of a version that is not ours, just its head. Raises BadOption."""
    version, do = ttl >> 16 & 0xFF, bool(ttl & DO)
    head = Edns(size, version, do, compact=bool(ttl & CO))
    if version or not options:
        return head
    found: dict[int, bytes] = {}
    at = 0
    while at < len(options):
        if at + 4 > len(options):
            raise BadOption(head)
        code, length = PAIR.unpack_from(options, at)
        at += 4 + length
        if at > len(options) or (code == SUBNET and code in found):
            raise BadOption(head)
        found.setdefault(code, options[at - length : at])
    subnet = _subnet(found[SUBNET], head) if SUBNET in found else None
    cookie = found.get(COOKIE)
    if cookie is not None and len(cookie) not in COOKIE_SIZES:
        raise BadOption(head)
    return Edns(size, version, do, subnet, cookie, NSID in found, KEEPALIVE in found, head.compact)


def _subnet(option: bytes, head: Edns) -> Subnet:
    """RFC 7871 §6: family, lengths and octets must agree, bits behind the prefix be zero, scope be zero."""
    if len(option) < 4:
        raise BadOption(head)
    family, source, scope = option[0] << 8 | option[1], option[2], option[3]
    address = option[4:]
    longest = _LONGEST.get(family)
    if longest is None or source > longest or scope or len(address) != (source + 7) // 8:
        raise BadOption(head)
    if source % 8 and address[-1] & (0xFF >> source % 8):
        raise BadOption(head)
    return Subnet(family, source, address)


def render_opt(edns: Edns, rcode: int, scope: int | None, more: bytes = b"") -> bytes:
    """Our OPT record: the upper bits of `rcode`, version 0, DO as it came, the subnet with our scope.

    A `scope` of None leaves the subnet out: whoever does not use it does not repeat it (RFC 7871 §7.2.1).
    """
    options = more
    if edns.subnet is not None and scope is not None:
        subnet = edns.subnet
        head = subnet.family.to_bytes(2) + bytes((subnet.source, scope))
        options = option(SUBNET, head + subnet.address) + more
    flags = (rcode >> 4) << 24 | (DO if edns.do else 0)
    return _HEAD.pack(0, OPT, OUR_SIZE, flags, len(options)) + options


def option(code: int, data: bytes) -> bytes:
    """One option on the wire."""
    return PAIR.pack(code, len(data)) + data
