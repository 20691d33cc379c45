"""A webhook as it lies in the spool: what is known of it, then its body as it came."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Record:
    """One webhook. `event` tells repetitions, `id` names it towards the origin; `at` is when it came.

    `attempts` and `error` are of deliveries that failed, in dead letters.
    """

    site: str
    provider: str
    event: str
    id: str
    at: float
    body: bytes
    hint: bool = False
    content_type: str = "application/json"
    attempts: int = 0
    error: str = ""

    @property
    def key(self) -> bytes:
        """By what repetitions are told."""
        return key_of(self.site, self.provider, self.event)

    def encoded(self) -> bytes:
        """The record's bytes: its key up to a 0, JSON up to another, the body."""
        known = {
            "id": self.id, "at": self.at, "hint": self.hint, "type": self.content_type,
            "attempts": self.attempts, "error": self.error,
        }  # fmt: skip
        return self.key + b"\0" + json.dumps(known, separators=(",", ":")).encode() + b"\0" + self.body

    def known(self) -> Mapping[str, Any]:
        """What an operator is shown, the body apart."""
        return {
            "id": self.id, "site": self.site, "provider": self.provider, "at": self.at, "hint": self.hint,
            "bytes": len(self.body), "attempts": self.attempts, "error": self.error,
        }  # fmt: skip


def key_of(site: str, provider: str, event: str) -> bytes:
    """The key of an event; none of its parts holds a space or a 0."""
    return f"{site} {provider} {event}".encode()


def decoded(content: bytes) -> Record:
    """What `Record.encoded` wrote. Raises ValueError."""
    key, _, rest = content.partition(b"\0")
    head, _, body = rest.partition(b"\0")
    site, provider, event = key.decode().split(" ")
    known = json.loads(head)
    return Record(
        site, provider, event, known["id"], known["at"], body, known["hint"], known["type"],
        known["attempts"], known["error"],
    )  # fmt: skip
