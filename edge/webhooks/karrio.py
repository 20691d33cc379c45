"""Karrio: its secret in plain text in a field, so each event is a hint."""

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
    text_in,
)
from edge.webhooks.events import digest


class Karrio(ProviderDefaults):
    """Shipments' and trackers' events of a Karrio server."""

    name = "karrio"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("webhook_secret", "The webhook's secret, as it comes in X-Event-Id."),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._secrets = secrets_of(settings["webhook_secret"])

    def verify(self, hook: Hook, now: float) -> Verified:
        if not any_same(self._secrets, [hook.fields.get("x-event-id", "")]):
            raise Unverified("x-event-id: it is not right")
        return Verified(text_in(document_of(hook.body), "id") or digest(hook.body), hint=True)
