"""Packets by the thousand (`make fuzz`: by the million) to the lane, and to the Responder behind it.

Whatever the lane answers must be, octet for octet, what the Responder answers, within the bounds on length;
nothing raises.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import dns.message
import pytest

from geo.dns.answer import Manners, Responder
from geo.dns.cookies import Cookies
from geo.dns.keys import make_key
from geo.dns.lessons import Lessons, tree_of
from geo.fleet import Fleet
from geo.lookup import open_database
from tests.geo.dns.packets import Mill
from tests.geo.dns.test_records import CHILD, FILE, FLATTENED
from tests.geo.dns.zones import zone_of
from tests.geo.worlds import FRANKFURT, JAKARTA, VIRGINIA, ZONE, write_database

PACKETS = int(os.environ.get("TEPI_FUZZ_PACKETS", "30000"))
HOSTS = frozenset({"www.shop.test", "*.cdn.shop.test", "x.own.shop.test", "shop.own.shop.test"})
TWO = (JAKARTA, FRANKFURT, VIRGINIA, *(
    type(JAKARTA)(f"jakarta-{n}", JAKARTA.place, (f"192.0.2.{n}", f"2001:db8::{n}")) for n in range(10, 14)
))  # fmt: skip
NOW = 1_750_000_000
SETTINGS = (
    Manners(),
    Manners(cookies=Cookies((bytes(16),)), nsid=b"ns1"),
    Manners(subnet=False, amplification=3),
)


def responders(tmp_path: Path) -> list[Responder]:
    rows = {
        "36.64.0.0/11": {"country_code": "ID"},
        "10.0.0.0/8": {"note": "nowhere"},
        "8.0.0.0/7": {"country_code": "US"},
    }
    small = open_database(write_database(tmp_path / "small.mmdb", rows))
    key = make_key()[0]
    signed = (zone_of(FILE, replace(ZONE, keys=(key,))), replace(CHILD, keys=(key,)))
    made = []
    for number, manners in enumerate(SETTINGS):
        plain = (zone_of(FILE, ZONE), CHILD)
        for lookup, zones in ((open_database(), plain), (open_database(), signed), (small, signed)):
            fleet = (Fleet((JAKARTA, FRANKFURT, VIRGINIA)), Fleet(TWO), Fleet((JAKARTA,)))[number]
            made.append(Responder(zones, HOSTS, fleet, lookup, manners=manners, flattened=FLATTENED, at=NOW))
    return made


@pytest.mark.timeout(0)
def test_the_lane_and_the_responder_agree(tmp_path: Path) -> None:
    seed = int(os.environ.get("TEPI_FUZZ_SEED", time.time_ns() % 2**32))
    chance = random.Random(seed)
    mill = Mill(chance)
    every = responders(tmp_path)
    answered = 0
    for responder in every:
        lessons = Lessons(responder, tree_of(responder.steering.lookup))
        assert lessons.lane.tree is not None
        for number in range(PACKETS // len(every)):
            packet, source = mill.packet()
            said = lessons.lane.answer(packet, ip_address(source).packed, NOW)
            if said is None:
                reply = responder.reply(packet, source, now=NOW)
                if reply is not None:
                    assert len(reply.wire) <= max(1232, len(packet) + 11), (seed, number, packet)
                    lessons.teach(packet, ip_address(source).packed, source)
                continue
            answered += 1
            reply = responder.reply(packet, source, now=NOW)
            assert reply is not None
            assert said == reply.wire, (seed, number, packet, source)
            assert lessons.lane.proven == reply.proven
            if number % 50 == 0:
                dns.message.from_wire(said)
    print(f"{PACKETS:,} packets, {answered:,} answered by the lane")
    assert answered > PACKETS // 8, seed
