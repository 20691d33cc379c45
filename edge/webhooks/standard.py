"""Standard Webhooks: how anything else signs, and how the edge signs for the commerce origin."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import ClassVar

from edge.webhooks.contract import (
    TOLERANCE,
    Hook,
    ProviderDefaults,
    Setting,
    Unverified,
    Verified,
    any_same,
    document_of,
    encoded,
    secrets_of,
    timely,
)

LONGEST_ID = 255
MARK = "hint_"  # begins the id of what the origin must confirm: the id is signed, a field would not be


def sign(secret: str, id: str, timestamp: int, body: bytes) -> str:
    """The Standard Webhooks signature: `v1,` and base64 of HMAC-SHA256 over id, time and body."""
    signed = encoded(f"{id}.{timestamp}.") + body
    return "v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256)).decode()


def verify(secrets: str, fields: Mapping[str, str], body: bytes, now: float) -> str:
    """The webhook's id, if its signature holds under one of `secrets`. Raises Unverified.

    `fields` are webhook-id, webhook-timestamp and webhook-signature, the last with one signature or more.
    """
    id, time, signatures = (
        fields.get(name, "") for name in ("webhook-id", "webhook-timestamp", "webhook-signature")
    )
    if not 1 <= len(id) <= LONGEST_ID:
        raise Unverified(f"webhook-id: got {len(id)} characters, expected 1 to {LONGEST_ID}", "malformed")
    at = timely(time, now, "webhook-timestamp", TOLERANCE)
    expected = [sign(secret, id, at, body) for secret in secrets_of(secrets)]
    if not any_same(expected, signatures.split()):
        raise Unverified("webhook-signature: none is right")
    return id


def check_secret(secrets: str) -> None:
    """Raises ValueError unless each is one of Standard Webhooks."""
    if not secrets_of(secrets):
        raise ValueError("a webhook secret: expected whsec_ and base64")
    for secret in secrets_of(secrets):
        _key(secret)


class Standard(ProviderDefaults):
    """Whoever signs by Standard Webhooks."""

    name = "standard"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("webhook_secret", "What it signs with: whsec_ and base64."),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._secrets = settings["webhook_secret"]
        check_secret(self._secrets)

    def verify(self, hook: Hook, now: float) -> Verified:
        event = verify(self._secrets, hook.fields, hook.body, now)
        document_of(hook.body)
        return Verified(event)


def _key(secret: str) -> bytes:
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError("a webhook secret: expected whsec_ and base64")
    return key
