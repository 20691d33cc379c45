"""SNAP-BI, Bank Indonesia's standard: notifications signed over method, path, body's digest and time."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import ClassVar

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from edge.webhooks.contract import (
    Hook,
    ProviderDefaults,
    Reply,
    Setting,
    Unverified,
    Verified,
    any_same,
    document_of,
    encoded,
    secrets_of,
)
from edge.webhooks.events import digest
from edge.webhooks.moments import near


class SnapBi(ProviderDefaults):
    """Notifications of one partner bank: asymmetric, or symmetric where it has no key of its own."""

    name = "snapbi"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("public_key", "The partner's public key (PEM), where it signs with RSA.", default=""),
        Setting("client_secret", "The secret shared with it, where it signs with HMAC.", default=""),
        Setting("service_code", "The service's two digits in answers.", secret=False, default="25"),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._key = _public_key(settings["public_key"])
        self._secrets = secrets_of(settings["client_secret"])
        code = settings["service_code"]
        if len(code) != 2 or not code.isdigit() or not code.isascii():
            raise ValueError(f"service_code: got {code!r}, expected two digits")
        if self._key is None and not self._secrets:
            raise ValueError("public_key or client_secret: expected one of them")
        document = {"responseCode": f"200{code}00", "responseMessage": "Successful"}
        self._reply = Reply(json.dumps(document).encode(), "application/json")

    def verify(self, hook: Hook, now: float) -> Verified:
        document_of(hook.body)
        time, signature = (hook.fields.get(name, "") for name in ("x-timestamp", "x-signature"))
        near(time, now, "x-timestamp")
        body = hashlib.sha256(minified(hook.body)).hexdigest()
        signed = encoded(f"POST:{hook.path}:{body}:{time}")
        if not (self._by_key(signature, signed) or self._by_secret(signature, signed)):
            raise Unverified("x-signature: it is not right")
        event = digest(hook.fields.get("x-external-id", ""), hook.body)
        return Verified(event, reply=self._reply)

    def _by_key(self, signature: str, signed: bytes) -> bool:
        if self._key is None:
            return False
        try:
            self._key.verify(base64.b64decode(signature, validate=True), signed, PKCS1v15(), SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    def _by_secret(self, signature: str, signed: bytes) -> bool:
        expected = [
            base64.b64encode(hmac.digest(encoded(secret), signed, hashlib.sha512)).decode()
            for secret in self._secrets
        ]
        return any_same(expected, [signature])


def minified(body: bytes) -> bytes:
    """JSON without the white space between its tokens; everything else stays, the order of keys too."""
    kept = bytearray()
    inside = escaped = False
    for byte in body:
        if inside:
            kept.append(byte)
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                inside = False
        elif byte not in b" \t\r\n":
            kept.append(byte)
            inside = byte == 0x22
    return bytes(kept)


def _public_key(pem: str) -> RSAPublicKey | None:
    if not pem:
        return None
    try:
        key = load_pem_public_key(pem.encode())
    except ValueError:
        key = None
    if not isinstance(key, RSAPublicKey):
        raise ValueError("public_key: expected an RSA public key in PEM")
    return key
