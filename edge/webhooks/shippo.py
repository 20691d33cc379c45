"""Shippo: signed like Stripe's where HMAC is turned on; else a token in the URL, which makes a hint."""

from __future__ import annotations

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
    secrets_of,
)
from edge.webhooks.events import digest
from edge.webhooks.stripe import check_timed

FIELD = "shippo-auth-signature"


class Shippo(ProviderDefaults):
    """Tracking and transaction updates."""

    name = "shippo"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("webhook_secret", "The secret of signed webhooks.", default=""),
        Setting("token", "The token in the URL (?token=…), where they are not signed.", default=""),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._secrets = secrets_of(settings["webhook_secret"])
        self._tokens = secrets_of(settings["token"])
        if not self._secrets and not self._tokens:
            raise ValueError("webhook_secret or token: expected one of them")

    def verify(self, hook: Hook, now: float) -> Verified:
        document_of(hook.body)
        if FIELD in hook.fields and self._secrets:
            check_timed(self._secrets, hook, now, FIELD)
            return Verified(digest(hook.body))
        if not any_same(self._tokens, [hook.query.get("token", "")]):
            raise Unverified(f"{FIELD}: got nothing, and the URL's token is not right")
        return Verified(digest(hook.body), hint=True)
