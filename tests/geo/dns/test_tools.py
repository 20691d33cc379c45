"""dig and kdig as judges: what they accept without a warning, standards' other readers do too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from geo.dns.answer import Manners, Responder
from geo.dns.cookies import Cookies
from geo.dns.server import Server
from tests.geo.dns.zones import zone_of
from tests.geo.worlds import HOSTS, IN_GERMANY, LOOKUP, fleet_with
from tests.support.tools import require

FILE = (
    '@ MX 10 mail\nmail A 192.0.2.25\nblog CNAME www\n*.any TXT "any"\nsub NS ns.sub\nns.sub A 192.0.2.54\n'
)
MANNERS = Manners(nsid=b"ns1", cookies=Cookies((bytes(16),)))


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[int]:
    responder = Responder((zone_of(FILE),), HOSTS, fleet_with(), LOOKUP, manners=MANNERS)
    server = Server(responder, [("127.0.0.1", 0)])
    await server.start()
    try:
        yield server.addresses[0][1]
    finally:
        await server.stop()


async def said(tool: str, port: int, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        require(tool), "@127.0.0.1", "-p", str(port), *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    text = output.decode()
    assert process.returncode == 0, text
    for trouble in ("malformed", "mismatch", "extra bytes", "truncated", "expected opt"):
        assert trouble not in text.lower(), text
    return text


@pytest.mark.parametrize("way", ["+notcp", "+tcp"])
async def test_dig_and_kdig_read_every_kind_of_answer(way: str) -> None:
    async with serving() as port:
        text = await said("dig", port, "+norec", way, f"+subnet={IN_GERMANY}/24", "www.shop.test")
        assert f"CLIENT-SUBNET: {IN_GERMANY}/24/15" in text
        assert "192.0.2.2" in text
        assert "(good)" in text, "dig knows its cookie"
        assert "NSID" in await said("dig", port, "+norec", way, "+nsid", "MX", "shop.test")
        text = await said("kdig", port, "+norec", way, "+nsid", "blog.shop.test", "A")
        assert "www.shop.test." in text
        assert '"ns1"' in text
        assert "status: NXDOMAIN" in await said("kdig", port, "+norec", way, "nope.shop.test", "A")
        assert "status: NOERROR" in await said("kdig", port, "+norec", way, "www.shop.test", "TXT")
        assert "192.0.2.54" in await said("kdig", port, "+norec", way, "x.sub.shop.test", "A")
        assert '"any"' in await said("dig", port, "+norec", way, "TXT", "x.any.shop.test")
        assert "RFC8482" in await said("dig", port, "+norec", way, "+noall", "+answer", "ANY", "shop.test")


async def test_kdig_keeps_a_connection_open_for_many_questions() -> None:
    async with serving() as port:
        words = [word for n in range(5) for word in (f"{n}.any.shop.test", "TXT")]
        text = await said("kdig", port, "+norec", "+tcp", "+keepopen", *words)
        assert text.count('"any"') == 5
