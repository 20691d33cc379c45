"""Xendit: one static token with every callback, so each is a hint."""

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


class Xendit(ProviderDefaults):
    """Callbacks of a Xendit account."""

    name = "xendit"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("callback_token", "The account's webhook verification token."),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._tokens = secrets_of(settings["callback_token"])

    def verify(self, hook: Hook, now: float) -> Verified:
        if not any_same(self._tokens, [hook.fields.get("x-callback-token", "")]):
            raise Unverified("x-callback-token: it is not right")
        document_of(hook.body)
        return Verified(hook.fields.get("webhook-id") or digest(hook.body), hint=True)
