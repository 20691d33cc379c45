"""Meta: HMAC-SHA256 over the body, and a question by GET before the first of them."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import ClassVar

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

_CHALLENGE = re.compile(r"[A-Za-z0-9_.\-]{1,200}")


class Meta(ProviderDefaults):
    """Events of an app: pages, catalogues, messages."""

    name = "meta"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("app_secret", "The app's secret."),
        Setting("verify_token", "The token that Meta shows when it asks whose address this is.", default=""),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._secrets = secrets_of(settings["app_secret"])
        self._tokens = secrets_of(settings["verify_token"])

    def verify(self, hook: Hook, now: float) -> Verified:
        expected = [
            "sha256=" + hmac.digest(encoded(secret), hook.body, hashlib.sha256).hex()
            for secret in self._secrets
        ]
        if not any_same(expected, [hook.fields.get("x-hub-signature-256", "")]):
            raise Unverified("x-hub-signature-256: it is not right")
        document_of(hook.body)
        return Verified(digest(hook.body))

    def challenge(self, query: Mapping[str, str]) -> Reply | None:
        said = query.get("hub.challenge", "")
        known = any_same(self._tokens, [query.get("hub.verify_token", "")])
        if query.get("hub.mode") != "subscribe" or not known or not _CHALLENGE.fullmatch(said):
            return None
        return Reply(said.encode())
