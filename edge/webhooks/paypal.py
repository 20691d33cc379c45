"""PayPal: RSA over id, time, the endpoint's id and the body's CRC-32; the certificate by a pinned host."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import ClassVar
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from edge.webhooks.contract import (
    Hook,
    ProviderDefaults,
    Setting,
    Unverified,
    Verdict,
    Verified,
    Wants,
    document_of,
    encoded,
    text_in,
)
from edge.webhooks.moments import near

HOSTS = ("api.paypal.com", "api.sandbox.paypal.com", "api-m.paypal.com", "api-m.sandbox.paypal.com")
PLACE = "/v1/notifications/certs/"
# A delivery is tried again for three days, each time with the first one's time.
RETRIED_FOR = 3 * 86_400.0 + 300.0


class PayPal(ProviderDefaults):
    """Events for one webhook id."""

    name = "paypal"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("webhook_id", "The id of the webhook at PayPal; it is part of what is signed."),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._webhook_id = settings["webhook_id"]

    def verify(self, hook: Hook, now: float) -> Verdict:
        fields = hook.fields
        id, time = (fields.get(f"paypal-transmission-{name}", "") for name in ("id", "time"))
        if not id or fields.get("paypal-auth-algo", "").upper() != "SHA256WITHRSA":
            raise Unverified(
                "paypal-auth-algo: expected SHA256withRSA, with a transmission's id", "malformed"
            )
        near(time, now, "paypal-transmission-time", past=RETRIED_FOR)
        url = fields.get("paypal-cert-url", "")
        parts = urlsplit(url) if url.isascii() else urlsplit("")
        if parts.scheme != "https" or parts.netloc not in HOSTS or not parts.path.startswith(PLACE):
            raise Unverified("paypal-cert-url: expected a certificate at PayPal's own address")
        event = text_in(document_of(hook.body), "id")
        if url not in hook.material:
            return Wants(url)
        signed = encoded(f"{id}|{time}|{self._webhook_id}|{zlib.crc32(hook.body)}")
        _check(hook.material[url], fields.get("paypal-transmission-sig", ""), signed, now)
        return Verified(event or id)


def _check(pem: bytes, signature: str, signed: bytes, now: float) -> None:
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
        raw = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error) as error:
        raise Unverified("paypal-transmission-sig: no certificate or signature can be read") from error
    at = datetime.fromtimestamp(now, UTC)
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise Unverified("paypal-cert-url: the certificate is not valid now")
    if not isinstance(key, RSAPublicKey):
        raise Unverified("paypal-cert-url: expected an RSA key")
    try:
        key.verify(raw, signed, PKCS1v15(), SHA256())
    except InvalidSignature:
        raise Unverified("paypal-transmission-sig: it is not right") from None
