"""Packets for tests: plain queries mostly, with every option, some broken."""

from __future__ import annotations

import random
from ipaddress import IPv4Address, IPv6Address
from struct import pack

from geo.dns.zone import wire_name

NAMES = (
    "shop.test", "www.shop.test", "WWW.sHop.Test", "a.cdn.shop.test", "b.cdn.shop.test", "two.shop.test",
    "big.shop.test", "near.shop.test", "far.shop.test", "odd.shop.test", "x.any.shop.test", "sub.shop.test",
    "x.sub.shop.test", "nope.shop.test", "own.shop.test", "shop.own.shop.test", "y.own.shop.test",
    "elsewhere.test", "any.shop.test", "gone.shop.test", "_sip._tcp.shop.test",
)  # fmt: skip
TYPES = (1, 1, 1, 1, 28, 28, 65, 15, 16, 2, 6, 5, 255, 43, 41, 252, 65401, 99)
NETWORKS = ("36.66.0.0", "85.214.0.0", "8.8.8.0", "10.1.2.0", "127.0.0.0", "203.0.113.0")
SOURCES = (
    "36.66.0.9",
    "85.214.7.7",
    "198.51.100.7",
    "10.0.0.1",
    "2001:4400::1",
    "2a00:1450::1",
    "::1",
    "fe80::1",
)


class Mill:
    """Packets by `chance`."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def packet(self) -> tuple[bytes, str]:
        """A packet and where it comes from."""
        chance = self._chance
        flags = chance.choice((0x0100, 0x0100, 0, 0x0110, 0x0120, 0x8100, 0x2800, 0x0300))
        name = wire_name(chance.choice(NAMES))
        if chance.random() < 0.3:
            name = bytes(
                chance.choice((octet, octet - 32)) if 97 <= octet <= 122 else octet for octet in name
            )
        question = name + pack(
            "!HH", chance.choice(TYPES), 1 if chance.random() < 0.97 else chance.choice((3, 255, 0))
        )
        opt = self._opt() if chance.random() < 0.8 else b""
        packet = pack("!6H", chance.getrandbits(16), flags, 1, 0, 0, bool(opt)) + question + opt
        if chance.random() < 0.15:
            packet = self._broken(packet)
        return packet, chance.choice(SOURCES)

    def _opt(self) -> bytes:
        chance = self._chance
        options = b""
        for kind in chance.choices((8, 8, 8, 10, 3, 11, 12, 65001), k=chance.choice((0, 1, 1, 1, 2, 3))):
            data = self._option(kind)
            options += pack("!HH", kind, len(data)) + data
        size = chance.choice((512, 1232, 4096, 0, 100, 700))
        version = 0 if chance.random() < 0.97 else 1
        return pack("!BHHBBHH", 0, 41, size, 0, version, chance.choice((0, 0x8000)), len(options)) + options

    def _option(self, kind: int) -> bytes:
        chance = self._chance
        if kind == 10:
            return chance.randbytes(chance.choice((8, 8, 24, 16, 40, 7)))
        if kind != 8:
            return chance.randbytes(chance.choice((0, 0, 5)))
        if chance.random() < 0.7:
            network = chance.choice(
                (IPv4Address(chance.getrandbits(32)), IPv4Address(chance.choice(NETWORKS)))
            )
            family, source = 1, chance.choice((24, 24, 24, 32, 20, 16, 9, 0))
        else:
            wide = chance.choice((0x2001 << 112, 0x2A00 << 112, 0xFFFF << 32, 0))
            network = IPv6Address(wide | chance.getrandbits(100))  # type: ignore[assignment]
            family, source = 2, chance.choice((56, 48, 64, 128, 44, 3, 0))
        octets = bytearray(network.packed[: (source + 7) // 8])
        if source % 8:
            octets[-1] &= 0xFF00 >> source % 8 & 0xFF
        if chance.random() < 0.03:
            octets += b"\1"
        return pack("!HBB", family, source, 0 if chance.random() < 0.97 else 7) + octets

    def _broken(self, packet: bytes) -> bytes:
        chance = self._chance
        mangled = bytearray(packet)
        for _ in range(chance.choice((1, 1, 2, 5))):
            at = chance.randrange(len(mangled))
            mangled[at] = chance.choice((0, 0xC0, 0xFF, 0x40, chance.getrandbits(8)))
        return bytes(
            mangled[: chance.choice((len(mangled), len(mangled), chance.randrange(len(mangled) + 1)))]
        )
