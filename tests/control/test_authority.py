"""Control's certificate authority, checked by another reader of certificates: ssl itself."""

from __future__ import annotations

import asyncio
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from control.authority import Authority, BadRequest, server_context

NOW = datetime.now(UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "authority", NOW)


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | None = None) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "evil")])
    hosts = x509.SubjectAlternativeName([x509.DNSName("bank.example")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name).add_extension(hosts, critical=False)
    signed = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def test_the_key_is_its_owners_alone_and_stays_the_same(tmp_path: Path) -> None:
    first = Authority.open(tmp_path / "new", NOW)
    assert stat.S_IMODE((tmp_path / "new" / "authority.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    again = Authority.open(tmp_path / "new", NOW + timedelta(days=1))
    assert again.pem == first.pem
    assert again.fingerprint == first.fingerprint


def test_a_nodes_certificate_says_what_control_says_not_what_was_asked_for(authority: Authority) -> None:
    pem, serial = authority.sign_node(request(), "jakarta", "edge", ["192.0.2.1", "node.example"], NOW)
    certificate = x509.load_pem_x509_certificate(pem.encode())
    assert certificate.subject.rfc4514_string() == "OU=edge,CN=jakarta"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["jakarta", "node.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1"]
    usages = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    assert usages == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert serial == f"{certificate.serial_number:x}"


@pytest.mark.parametrize("broken", ["", "no request", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n"])
def test_what_is_no_signing_request_is_refused(authority: Authority, broken: str) -> None:
    with pytest.raises(BadRequest, match="csr"):
        authority.sign_node(broken, "jakarta", "edge", [], NOW)


def test_a_request_not_signed_by_its_own_key_is_refused(authority: Authority) -> None:
    pem = request()
    raw = bytearray(ssl.PEM_cert_to_DER_cert(pem.replace("CERTIFICATE REQUEST", "CERTIFICATE")))
    raw[-1] ^= 1
    changed = ssl.DER_cert_to_PEM_cert(bytes(raw)).replace("CERTIFICATE", "CERTIFICATE REQUEST")
    with pytest.raises(BadRequest, match="csr"):
        authority.sign_node(changed, "jakarta", "edge", [], NOW)


def test_other_kinds_of_keys_are_refused(authority: Authority) -> None:
    with pytest.raises(BadRequest, match="elliptic curve"):
        authority.sign_node(request(rsa.generate_private_key(65537, 2048)), "jakarta", "edge", [], NOW)


async def test_a_client_that_trusts_the_authority_accepts_what_it_issued(
    authority: Authority, tmp_path: Path
) -> None:
    pair = authority.issue(["shop.localhost", "127.0.0.1"], NOW)
    context = server_context(authority, pair, tmp_path)
    assert stat.S_IMODE((tmp_path / "nodes.pem").stat().st_mode) == 0o600

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    trusting = ssl.create_default_context(cadata=authority.pem)
    for host in ("shop.localhost", "127.0.0.1"):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=host)
        writer.close()
        await writer.wait_closed()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="bank.example")
    server.close()
    await server.wait_closed()


def test_a_wildcard_and_a_long_host_can_be_certified(authority: Authority) -> None:
    long = ".".join(["toko" * 10] * 5) + ".example"
    pair = authority.issue([long, "*.shop.example"], NOW)
    certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [long, "*.shop.example"]
    assert certificate.not_valid_after_utc.timestamp() == pytest.approx(pair.expires_at, abs=1)
