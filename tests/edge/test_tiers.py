"""Nodes that ask each other before the origin: real nodes, real sockets, certificates and all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.config import parse_edge
from edge.document.problems import Refused
from edge.purge import Site
from edge.tls import BadCertificate
from tests.edge import wires
from tests.edge.certificates import Authority
from tests.edge.fleets import fleet
from tests.edge.nodes import Edge, document, node

CACHED = "Cache-Control: max-age=60"


async def test_an_object_asked_for_a_thousand_times_everywhere_at_once_costs_the_origin_one_fetch(
    tmp_path: Path,
) -> None:
    asked_enough = asyncio.Event()

    async def script(heard: wires.Heard, writer: asyncio.StreamWriter) -> None:
        await asked_enough.wait()
        writer.write(wires.answer(b"x" * 20_000, "200 OK", CACHED, 'ETag: "v1"'))

    async with wires.origin(script) as origin:
        pops = {"jakarta": 2, "frankfurt": 2, "virginia": 2}
        async with fleet(origin.url, tmp_path, pops, shield="frankfurt") as nodes:
            edges = list(nodes.values())
            visits = [asyncio.create_task(_patiently(edges[at % 6], "/p/1")) for at in range(1000)]
            await wires.eventually(lambda: sum(each.running.front.under_way for each in edges) == 1000, 60)
            await wires.eventually(lambda: bool(origin.heard), 60)
            asked_enough.set()
            replies = await asyncio.gather(*visits)
            assert {(reply.status, reply.body) for reply in replies} == {(200, b"x" * 20_000)}
            assert len(origin.heard) == 1
            again = await asyncio.gather(*(each.get("/p/1") for each in edges))
            assert all("tepi; hit" in reply.fields["cache-status"] for reply in again)
            assert len(origin.heard) == 1


async def _patiently(edge: Edge, path: str) -> wires.Reply:
    async with edge.visit() as visit:
        visit.say("GET", path)
        return await visit.hear(seconds=60)


async def test_each_cache_on_the_way_tells_what_it_did(tmp_path: Path) -> None:
    async with (
        wires.origin(wires.says(b"page", "200 OK", CACHED, "Cache-Tag: p1")) as origin,
        fleet(origin.url, tmp_path, {"jakarta": 2, "frankfurt": 1}, shield="frankfurt") as nodes,
    ):
        chains = set()
        for number in range(12):
            reply = await nodes["jakarta-1"].get(f"/p/{number}")
            assert "cache-tag" not in reply.fields
            assert not [name for name in reply.fields if name.startswith("tepi-")]
            told = re.sub(r"; (key|ttl)=[^;,]*", "", reply.fields["cache-status"])
            chains.add(tuple(member.partition(";")[0] for member in told.split(", ")))
            assert told.split(", ")[0] == "tepi-shield; fwd=uri-miss; fwd-status=200; stored"
        assert chains == {("tepi-shield", "tepi"), ("tepi-shield", "tepi-owner", "tepi")}
        assert {heard.fields["x-forwarded-for"] for heard in origin.heard} == {"127.0.0.1"}


async def test_only_nodes_of_the_fleet_are_answered(tmp_path: Path) -> None:
    async with (
        wires.origin(wires.says(b"page", "200 OK", CACHED)) as origin,
        fleet(origin.url, tmp_path, {"jakarta": 2}) as nodes,
    ):
        peers = nodes["jakarta-1"].running.vicinity.peers
        assert peers is not None
        address = peers.fleet.peers[0].address  # jakarta-2's
        authority = Authority.load(tmp_path)
        said = b"GET / HTTP/1.1\r\nHost: shop.test\r\n"
        said += b'Tepi-Hop: owner;from="jakarta-1";scheme=http;address="1.1.1.1"\r\n'
        said += b'Tepi-Position: "alone";number=0\r\n\r\n'
        for pair, status in (
            (None, None),
            (authority.issue("dns-1", "dns-1"), 403),
            (authority.issue("jakarta-1", "jakarta-1"), 200),
        ):
            tls = authority.client(pair)
            tls.minimum_version = ssl.TLSVersion.TLSv1_3
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                reader, writer = await asyncio.open_connection(*address, ssl=tls, server_hostname="jakarta-2")
                writer.write(said)
                line = await reader.readline()
                assert line.startswith(b"HTTP/1.1 %d" % status if status else b"")
                assert (line == b"") == (status is None)
                writer.close()


async def test_a_visitor_who_poses_as_a_node_is_a_visitor(tmp_path: Path) -> None:
    async with (
        wires.origin(wires.says(b"page", "200 OK", CACHED, "Cache-Tag: p1")) as origin,
        fleet(origin.url, tmp_path, {"jakarta": 1}) as nodes,
    ):
        hop = {"Tepi_Hop": 'owner;from="jakarta-2";scheme=http;address="1.1.1.1"'}
        reply = await nodes["jakarta-1"].get("/", **hop, Tepi_Position='"x";number=9')
        assert "cache-tag" not in reply.fields
        assert "tepi-position" not in reply.fields
        assert not [name for name in origin.heard[0].fields if name.startswith("tepi-")]


@contextlib.asynccontextmanager
async def beside(script: wires.Script, origin_url: str, directory: Path) -> AsyncIterator[Edge]:
    """A node whose only peer, the owner of every key that it does not own itself, follows `script`."""
    authority = Authority.make(directory)
    own, peer = authority.issue("jakarta-1", "jakarta-1"), authority.issue("jakarta-2", "jakarta-2")
    async with wires.origin(script, authority.server(peer, mutual=True)) as owner:
        tiers = {
            "pop": "jakarta",
            "listen": "127.0.0.1:0",
            "certificate": str(own.cert),
            "key": str(own.key),
            "authority": str(authority.file),
            "patience": 0.5,
            "peers": [{"name": "jakarta-2", "pop": "jakarta", "address": f"127.0.0.1:{owner.port}"}],
        }
        async with node(origin_url, name="jakarta-1", tiers=tiers) as edge:
            yield edge


async def _silent(heard: wires.Heard, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def _hangs_up(heard: wires.Heard, writer: asyncio.StreamWriter) -> None:
    writer.close()


def _raw(said: bytes) -> wires.Script:
    async def script(heard: wires.Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    return script


async def _in_broken_pieces(heard: wires.Heard, writer: asyncio.StreamWriter) -> None:
    told = ("Tepi-Pieces: ?1", f"Tepi-Position: {heard.fields['tepi-position']}")
    writer.write(wires.answer(b"\x93\x91no page", "200 OK", CACHED, "Content-Type: text/html", *told))


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(_in_broken_pieces, id="in-broken-pieces"),
        pytest.param(_silent, id="says-nothing"),
        pytest.param(_hangs_up, id="hangs-up"),
        pytest.param(_raw(b"\x00\xff garbage \r\n\r\n"), id="no-http"),
        pytest.param(wires.says(b"old", "200 OK", CACHED), id="no-position"),
        pytest.param(wires.says(b"old", "200 OK", CACHED, "Tepi-Position: ]"), id="no-position-to-be-read"),
        pytest.param(
            wires.says(b"old", "200 OK", CACHED, 'Tepi-Position: "else";number=9'), id="another-journal"
        ),
        pytest.param(wires.says(b"no", "403 Forbidden"), id="refuses"),
    ],
)  # fmt: skip
async def test_a_peer_that_fails_costs_no_visitor_his_answer(script: wires.Script, tmp_path: Path) -> None:
    async with (
        wires.origin(wires.says(b"page", "200 OK", CACHED)) as origin,
        beside(script, origin.url, tmp_path) as edge,
    ):
        for number in range(8):
            reply = await edge.get(f"/p/{number}")
            assert (reply.status, reply.body) == (200, b"page")
            assert (await edge.get(f"/p/{number}")).fields["cache-status"].startswith("tepi; hit")
        assert len(origin.heard) == 8


@pytest.mark.parametrize("vouched", [True, False])
async def test_a_body_that_breaks_off_at_a_peer_is_never_torn(vouched: bool, tmp_path: Path) -> None:
    """Its rest comes from the origin where a validator vouches for it; else the visitor's answer is cut."""
    body = bytes(range(256)) * 1000
    tag = ('ETag: "v1"',) if vouched else ()

    async def dies(heard: wires.Heard, writer: asyncio.StreamWriter) -> None:
        position = 'Tepi-Position: "alone";number=0'
        writer.write(wires.answer(body[:100_000], "200 OK", CACHED, *tag, position, length=len(body)))
        await writer.drain()
        writer.close()

    async def script(heard: wires.Heard, writer: asyncio.StreamWriter) -> None:
        asked = heard.fields.get("range")
        if asked is None:
            writer.write(wires.answer(body, "200 OK", CACHED, *tag))
            return
        first = int(asked.removeprefix("bytes=").partition("-")[0])
        said = f"Content-Range: bytes {first}-{len(body) - 1}/{len(body)}"
        writer.write(wires.answer(body[first:], "206 Partial Content", CACHED, *tag, said))

    async with wires.origin(script) as origin, beside(dies, origin.url, tmp_path) as edge:
        for number in range(8):
            try:
                reply = await edge.get(f"/p/{number}")
            except (asyncio.IncompleteReadError, ConnectionError):
                assert not vouched
                reply = await edge.get(f"/p/{number}")
            assert reply.body == body or not vouched
        mended = [heard for heard in origin.heard if "range" in heard.fields]
        assert bool(mended) is vouched
        for entry in edge.running.store.struck_by(Site("shop")):
            assert entry.content.size == len(body)
            assert entry.content.partial or entry.content.plain == body


async def test_an_explanation_names_who_would_be_asked(tmp_path: Path) -> None:
    async with (
        wires.origin(wires.says(b"page", "200 OK", CACHED)) as origin,
        fleet(origin.url, tmp_path, {"jakarta": 1, "frankfurt": 1}, shield="frankfurt") as nodes,
    ):
        told = await nodes["jakarta-1"].running.node.explain({"url": "http://shop.test/p/1"})
        steps = {step["step"]: step["finding"] for step in told["steps"]}  # type: ignore[attr-defined]
        assert "shield frankfurt-1" in steps["tiers"]
        posted = await nodes["jakarta-1"].running.node.explain({"url": "http://shop.test/", "method": "POST"})
        assert "tiers" not in {step["step"] for step in posted["steps"]}  # type: ignore[attr-defined]


async def test_a_request_bears_its_id_in_the_logs_of_all(tmp_path: Path) -> None:
    log = {"access": "json", "file": str(tmp_path / "log")}
    async with (
        wires.origin(wires.says(b"page", "200 OK", CACHED)) as origin,
        fleet(origin.url, tmp_path, {"jakarta": 1, "frankfurt": 1}, shield="frankfurt", log=log) as nodes,
    ):
        reply = await nodes["jakarta-1"].get("/p/1")
        for edge in nodes.values():
            await wires.eventually(lambda edge=edge: edge.running.vicinity.callers.front.under_way == 0)  # type: ignore[misc]
            assert edge.running.access_log is not None
            edge.running.access_log.flush()
        lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
        assert {(line["node"], line.get("peer")) for line in lines} == {
            ("jakarta-1", None),
            ("frankfurt-1", "jakarta-1"),
        }
        assert (
            {line["id"] for line in lines}
            == {reply.fields["x-request-id"]}
            == {origin.heard[0].fields["x-request-id"]}
        )


TIERS = {
    "listen": "127.0.0.1:8444",
    "pop": "jakarta",
    "certificate": "a.pem",
    "key": "a.key",
    "authority": "ca.pem",
    "peers": [{"name": "frankfurt-1", "pop": "frankfurt", "address": "10.0.0.1:8444"}],
}
PEER = {"name": "b", "pop": "x", "address": "10.0.0.1:1"}


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"name": ""}, "tiers", "a name of this node"),
        ({"name": "frankfurt-1"}, "tiers", "peers other than this node itself"),
        ({"tiers": {**TIERS, "peers": [PEER, PEER]}}, "tiers.peers", "b is there twice"),
        ({"tiers": {**TIERS, "pop": None}}, "tiers", "pop too"),
        ({"tiers": {**TIERS, "authority": ""}}, "tiers", "authority too"),
        (
            {"tiers": {**TIERS, "peers": [{**PEER, "address": "0.0.0.0:1"}]}},
            "tiers.peers.0.address",
            "reached",
        ),
        ({"site": {"shield": "mars"}}, "sites", "a shield of shop among frankfurt, jakarta, not mars"),
        ({"sites": [], "state": "x", "control": {"url": "https://c:1"}}, "tiers", "no pop"),
    ],
)
def test_bad_settings_are_refused_by_name(changes: dict[str, object], field: str, words: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_edge(document("http://127.0.0.1:9", **{"name": "jakarta-1", "tiers": TIERS, **changes}))
    assert refused.value.problems[0].field == field
    assert words in refused.value.problems[0].expected


async def test_a_certificate_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    tiers = {**TIERS, "certificate": str(tmp_path / "none.pem")}
    with pytest.raises(BadCertificate, match="none"):
        async with node("http://127.0.0.1:9", name="jakarta-1", tiers=tiers):
            pass
