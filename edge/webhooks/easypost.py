"""EasyPost: HMAC-SHA256 over the body, under the secret in Unicode's form NFKD."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata
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

PREFIX = "hmac-sha256-hex="


class EasyPost(ProviderDefaults):
    """Events of an EasyPost account."""

    name = "easypost"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("webhook_secret", "The secret that the webhook was made with."),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._secrets = [
            encoded(unicodedata.normalize("NFKD", secret))
            for secret in secrets_of(settings["webhook_secret"])
        ]

    def verify(self, hook: Hook, now: float) -> Verified:
        expected = [PREFIX + hmac.digest(key, hook.body, hashlib.sha256).hex() for key in self._secrets]
        if not any_same(expected, [hook.fields.get("x-hmac-signature", "")]):
            raise Unverified("x-hmac-signature: it is not right")
        return Verified(text_in(document_of(hook.body), "id") or digest(hook.body))
