"""Midtrans: a digest in the body that leaves the status out, so each notification is a hint.

Payouts (Iris) are signed over the whole body and are believed.
"""

from __future__ import annotations

import hashlib
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


class Midtrans(ProviderDefaults):
    """Notifications of payments, and of payouts where a merchant key is given."""

    name = "midtrans"
    settings: ClassVar[tuple[Setting, ...]] = (
        Setting("server_key", "The server key of the account."),
        Setting("merchant_key", "The merchant key of payouts (Iris).", default=""),
    )

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._server_keys = secrets_of(settings["server_key"])
        self._merchant_keys = secrets_of(settings["merchant_key"])

    def verify(self, hook: Hook, now: float) -> Verified:
        document = document_of(hook.body)
        payout = hook.fields.get("iris-signature")
        if payout is not None:
            expected = [hashlib.sha512(hook.body + encoded(key)).hexdigest() for key in self._merchant_keys]
            if not any_same(expected, [payout.lower()]):
                raise Unverified("iris-signature: it is not right")
            return Verified(digest(hook.body))
        covered = "".join(text_in(document, name) for name in ("order_id", "status_code", "gross_amount"))
        expected = [hashlib.sha512(encoded(covered + key)).hexdigest() for key in self._server_keys]
        if not any_same(expected, [text_in(document, "signature_key").lower()]):
            raise Unverified("signature_key: it is not right")
        return Verified(digest(hook.body), hint=True)
