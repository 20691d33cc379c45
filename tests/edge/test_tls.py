"""HTTPS towards clients, and towards origins."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from edge.tls import BadCertificate, Certificates, KeyPair
from tests.edge.certificates import Authority
from tests.edge.nodes import Edge, config, node
from tests.edge.wires import origin, says


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


async def shown(edge: Edge, host: str, trust: ssl.SSLContext) -> str:
    """The common name of the certificate that `host` is shown."""
    _, writer = await asyncio.open_connection(
        "127.0.0.1", edge.port("https"), ssl=trust, server_hostname=host
    )
    try:
        certificate = writer.get_extra_info("peercert")
        return str(dict(pair[0] for pair in certificate["subject"])["commonName"])
    finally:
        writer.close()


def secure(pair: KeyPair) -> dict[str, object]:
    return {"listen_tls": ["127.0.0.1:0"], "tls": {"cert": str(pair.cert), "key": str(pair.key)}}


async def test_https_is_spoken_beside_http_and_told_to_the_origin(authority: Authority) -> None:
    pair = authority.issue("default", "shop.test")
    async with origin(says()) as shop, node(shop.url, **secure(pair)) as edge:
        async with edge.visit("https", authority.client()) as visit:
            reply = await visit.get("/a")
            assert reply.status == 200
            assert visit.writer.get_extra_info("ssl_object").version() in ("TLSv1.2", "TLSv1.3")
        assert shop.heard[0].fields["x-forwarded-proto"] == "https"
        assert "; hit" not in (await edge.get("/a")).fields["cache-status"]


async def test_each_host_is_shown_its_own_certificate_and_changes_take_hold_at_once(
    authority: Authority,
) -> None:
    pair = authority.issue("default", "shop.test", "other.test", "www.one.test", "one.test")
    trust = authority.client()
    async with origin(says()) as shop, node(shop.url, **secure(pair)) as edge:
        certificates = edge.running.node.certificates
        async with edge.visit("https", trust) as old:
            assert (await old.get()).status == 200
            one = authority.issue("one", "one.test", "*.one.test")
            certificates.put("one", ("one.test", "*.one.test"), one)
            assert await shown(edge, "one.test", trust) == "one"
            assert await shown(edge, "www.one.test", trust) == "one"
            assert await shown(edge, "other.test", trust) == "default"
            certificates.put("one", ("one.test",), authority.issue("newer", "one.test"))
            assert await shown(edge, "one.test", trust) == "newer"
            certificates.keep_only(frozenset())
            assert await shown(edge, "one.test", trust) == "default"
            assert (await old.get()).status == 200


async def test_a_host_without_a_certificate_is_refused_in_the_handshake(authority: Authority) -> None:
    certificates = Certificates()
    certificates.put("one", ("one.test",), authority.issue("only", "one.test"))
    server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0, ssl=certificates.context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for host, fits in (("one.test", True), ("two.test", False)):
            try:
                _, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=authority.client(), server_hostname=host
                )
                writer.close()
            except (ssl.SSLError, ConnectionError):
                assert not fits
            else:
                assert fits


async def test_plain_http_on_the_https_port_and_the_reverse_end_quietly(authority: Authority) -> None:
    pair = authority.issue("default", "shop.test")
    async with origin(says()) as shop, node(shop.url, **secure(pair)) as edge:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port("https"))
        writer.write(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
        async with asyncio.timeout(5):
            assert b"200" not in await reader.read()
        writer.close()
        with pytest.raises(ssl.SSLError):
            await asyncio.open_connection(
                "127.0.0.1", edge.port(), ssl=authority.client(), server_hostname="shop.test"
            )
        assert shop.heard == []


async def test_a_certificate_that_can_not_be_used_leaves_everything_as_it_was(
    authority: Authority, tmp_path: Path
) -> None:
    pair = authority.issue("default", "shop.test")
    other = authority.issue("stranger", "shop.test")
    broken = tmp_path / "broken.pem"
    broken.write_text("not PEM")
    async with origin(says()) as shop, node(shop.url, **secure(pair)) as edge:
        for bad in (
            KeyPair(pair.cert, other.key),
            KeyPair(broken, pair.key),
            KeyPair(tmp_path / "missing", pair.key),
        ):
            with pytest.raises(BadCertificate) as caught:
                await edge.running.take(config(shop.url, **secure(bad)))
            assert str(bad.cert) in str(caught.value)
        assert await shown(edge, "shop.test", authority.client()) == "default"


async def test_origins_certificates_are_verified_unless_told_otherwise(authority: Authority) -> None:
    server = authority.server(authority.issue("origin", "127.0.0.1"))
    async with origin(says(b"secret"), tls=server) as shop:
        async with node(shop.url) as edge:
            reply = await edge.get()
            assert reply.status == 502
            assert "detail=tls" in reply.fields["cache-status"]
            assert shop.heard == []
        async with node("", site={"origins": [{"url": shop.url, "verify": False}]}) as edge:
            assert (await edge.get()).body == b"secret"


async def test_the_commerce_origin_sees_the_nodes_certificate(authority: Authority) -> None:
    server = authority.server(authority.issue("commerce", "127.0.0.1"), mutual=True)
    async with origin(says(b"pay"), tls=server) as pay, origin(says(b"shop")) as shop:
        async with node(shop.url, site={"commerce": {"url": pay.url}}) as edge:
            assert (await edge.get("/commerce/x")).status == 502
            own = authority.client(authority.issue("jakarta", "jakarta"))
            edge.running.backends._mutual = lambda: own
            assert (await edge.get("/commerce/y")).body == b"pay"
            assert (await edge.get("/x")).body == b"shop"
        assert pay.heard[0].fields["tepi-site"] == "shop"
