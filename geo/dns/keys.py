"""Keys that sign a zone: ECDSA over P-256 with SHA-256 (RFC 6605), each key for all of it. Values only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

ALGORITHM = 13  # ECDSAP256SHA256 (RFC 6605 §6)
DIGEST = 2  # SHA-256 (RFC 4509)
HEAD = (257).to_bytes(2) + bytes((3, ALGORITHM))  # flags ZONE and SEP, protocol 3 (RFC 4034 §2.1)
_HALF = 32  # octets of r, and of s
_EXPECTED = "a private key on the curve P-256 in PEM, without a password, as `tepi zone key` makes it"


class BadKey(ValueError):
    """No key that can sign a zone; the text says what is expected, and nothing of what was given."""


@dataclass(frozen=True)
class Key:
    """A key of a zone. All keys are published and sign the DNSKEY set.

    `signs`: whether it signs the rest. `announced`: whether the parent zone is told to point at it
    (CDS and CDNSKEY, RFC 7344).
    """

    private: EllipticCurvePrivateKey = field(repr=False)
    signs: bool = True
    announced: bool = True

    @cached_property
    def dnskey(self) -> bytes:
        """The data of its DNSKEY record, and of CDNSKEY (RFC 4034 §2.1)."""
        numbers = self.private.public_key().public_numbers()
        return HEAD + numbers.x.to_bytes(_HALF) + numbers.y.to_bytes(_HALF)

    @cached_property
    def tag(self) -> int:
        """What signatures call it (RFC 4034, appendix B)."""
        data = self.dnskey
        total = sum(octet if place & 1 else octet << 8 for place, octet in enumerate(data))
        return (total + (total >> 16)) & 0xFFFF

    def ds(self, apex: bytes) -> bytes:
        """The data of the DS record for the zone `apex`, and of CDS (RFC 4034 §5.1)."""
        digest = hashlib.sha256(apex + self.dnskey).digest()
        return self.tag.to_bytes(2) + bytes((ALGORITHM, DIGEST)) + digest

    def sign(self, octets: bytes) -> bytes:
        """The signature as r and s (RFC 6605 §4). The same octets always give the same (RFC 6979)."""
        r, s = decode_dss_signature(self.private.sign(octets, _SIGNED))
        return r.to_bytes(_HALF) + s.to_bytes(_HALF)


def _way() -> ECDSA:
    """Without chance where the library can, so that servers of one zone give the same signature."""
    try:
        return ECDSA(SHA256(), deterministic_signing=True)
    except UnsupportedAlgorithm:
        return ECDSA(SHA256())


_SIGNED = _way()


def read_key(text: str, *, signs: bool = True, announced: bool = True) -> Key:
    """The key in PEM. Raises BadKey."""
    try:
        private = load_pem_private_key(text.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey(_EXPECTED) from error
    if not isinstance(private, EllipticCurvePrivateKey) or not isinstance(private.curve, SECP256R1):
        raise BadKey(_EXPECTED)
    return Key(private, signs, announced)


def make_key() -> tuple[Key, str]:
    """A new key, and the same in PEM."""
    private = generate_private_key(SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Key(private), pem.decode()
