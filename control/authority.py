"""Control's own certificate authority: it vouches for nodes, and for sites that have no other certificate."""

from __future__ import annotations

import hashlib
import ipaddress
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.identity import write_private

AUTHORITY_LIFE = timedelta(days=3650)
NODE_LIFE = timedelta(days=1825)
SITE_LIFE = timedelta(days=397)
BACKDATE = timedelta(hours=1)  # clocks differ


class BadRequest(ValueError):
    """A certificate signing request that can't be signed."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: str
    key: str
    expires_at: float


class Authority:
    """Signs certificates. Its key lies in one file that only its owner can read."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def open(cls, directory: Path, now: datetime) -> Authority:
        """The authority kept in `directory`, made there the first time."""
        key_file, certificate_file = directory / "authority.key", directory / "authority.pem"
        if not key_file.exists():
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = ec.generate_private_key(ec.SECP256R1())
            write_private(certificate_file, _pem(_self_signed(key, now)))
            write_private(key_file, _private(key))
        key_read = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key_read, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{key_file}: expected an elliptic curve key")
        return cls(x509.load_pem_x509_certificate(certificate_file.read_bytes()), key_read)

    @property
    def pem(self) -> str:
        """The authority's certificate."""
        return _pem(self._certificate).decode()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hex: what join tokens carry."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.pem)).hexdigest()

    def sign_node(
        self, request: str, name: str, role: str, hosts: Iterable[str], now: datetime
    ) -> tuple[str, str]:
        """A node's certificate for the key in `request`, and its serial in hex. Raises BadRequest."""
        try:
            asked = x509.load_pem_x509_csr(request.encode())
        except ValueError as error:
            raise BadRequest(
                "csr: got no certificate signing request, expected one in PEM (PKCS #10)"
            ) from error
        if not asked.is_signature_valid:
            raise BadRequest("csr: its signature is wrong, expected one by the key inside")
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, name),
                x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role),
            ]
        )
        public = asked.public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise BadRequest("csr: expected an elliptic curve key")
        certificate = self._sign(public, subject, (name, *hosts), now, NODE_LIFE)
        return _pem(certificate).decode(), f"{certificate.serial_number:x}"

    def issue(self, hosts: Iterable[str], now: datetime, life: timedelta = SITE_LIFE) -> Pair:
        """A certificate for `hosts` with a new key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = tuple(hosts)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
        certificate = self._sign(key.public_key(), subject, names, now, life)
        return Pair(_pem(certificate).decode() + self.pem, _private(key).decode(), (now + life).timestamp())

    def _sign(
        self,
        public: ec.EllipticCurvePublicKey,
        subject: x509.Name,
        hosts: Iterable[str],
        now: datetime,
        life: timedelta,
    ) -> x509.Certificate:
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(now + life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )


def server_context(authority: Authority, pair: Pair, directory: Path) -> ssl.SSLContext:
    """TLS for the node listener: who has joined shows a certificate, who joins has none yet."""
    path = directory / "nodes.pem"
    write_private(path, (pair.key + pair.certificate).encode())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(path)
    context.load_verify_locations(cadata=authority.pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tepi fleet authority")])
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def utc(seconds: float) -> datetime:
    """Seconds since 1970 as a date in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
