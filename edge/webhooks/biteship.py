"""Biteship: the field and what is in it are set where its webhooks are made. Each is a hint."""

from __future__ import annotations

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
)
from edge.webhooks.events import digest


class Biteship(ProviderDefaults):
    """Orders' statuses."""

    name = "biteship"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("webhook_secret", "What the field holds, or what the body is signed with."),
        Setting("field", "The field's name.", secret=False, default="x-biteship-signature"),
        Setting(
            "mode", "`static`: the field holds the secret; `hmac`: a digest.", secret=False, default="static"
        ),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._secrets = secrets_of(settings["webhook_secret"])
        self._field = settings["field"].lower()
        self._mode = settings["mode"]
        if self._mode not in ("static", "hmac"):
            raise ValueError(f"mode: got {self._mode!r}, expected static or hmac")

    def verify(self, hook: Hook, now: float) -> Verified:
        document_of(hook.body)
        got = hook.fields.get(self._field, "")
        expected = (
            self._secrets
            if self._mode == "static"
            else [hmac.digest(encoded(one), hook.body, hashlib.sha256).hex() for one in self._secrets]
        )
        if not any_same(expected, [got]):
            raise Unverified(f"{self._field}: it is not right")
        return Verified(digest(hook.body), hint=True)
