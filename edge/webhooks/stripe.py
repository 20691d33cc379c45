"""Stripe: `Stripe-Signature: t=…,v1=…`, HMAC-SHA256 over time and body."""

from __future__ import annotations

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
    text_in,
    timely,
)

MOST_SIGNATURES = 16


class Stripe(ProviderDefaults):
    """Events of a Stripe account."""

    name = "stripe"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("webhook_secret", "The endpoint's signing secret (whsec_…)."),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._secrets = secrets_of(settings["webhook_secret"])

    def verify(self, hook: Hook, now: float) -> Verified:
        check_timed(self._secrets, hook, now, "stripe-signature")
        event = text_in(document_of(hook.body), "id")
        if not event:
            raise Unverified("id: got nothing, expected the event's id", "malformed")
        return Verified(event)


def check_timed(secrets: tuple[str, ...], hook: Hook, now: float, name: str) -> None:
    """Raises Unverified unless the field `name`, `t=…,v1=…`, signs time and body under one of `secrets`."""
    at, signatures = "", []
    for part in hook.fields.get(name, "").split(",")[: MOST_SIGNATURES + 1]:
        key, _, value = part.strip().partition("=")
        if key == "t":
            at = value
        elif key == "v1":
            signatures.append(value)
    time = timely(at, now, f"{name}: t", TOLERANCE)
    expected = [
        hmac.digest(encoded(secret), encoded(f"{time}.") + hook.body, hashlib.sha256).hex()
        for secret in secrets
    ]
    if not any_same(expected, signatures):
        raise Unverified(f"{name}: none is right")
