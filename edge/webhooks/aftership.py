"""AfterShip: base64 of HMAC-SHA256 over the body."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import ClassVar

from edge.webhooks.contract import (
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
)
from edge.webhooks.events import digest


class AfterShip(ProviderDefaults):
    """Tracking updates."""

    name = "aftership"
    settings: ClassVar[tuple[Setting, ...]] = (Setting("webhook_secret", "The account's webhook secret."),)

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._secrets = secrets_of(settings["webhook_secret"])

    def verify(self, hook: Hook, now: float) -> Verified:
        expected = [
            base64.b64encode(hmac.digest(encoded(secret), hook.body, hashlib.sha256)).decode()
            for secret in self._secrets
        ]
        if not any_same(expected, [hook.fields.get("aftership-hmac-sha256", "")]):
            raise Unverified("aftership-hmac-sha256: it is not right")
        return Verified(text_in(document_of(hook.body), "event_id") or digest(hook.body))
