"""What the pipeline asks of an upstream: one request, one answer, or one named failure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from edge.http.message import Answer, Request

Failure = Literal["connect", "tls", "timeout", "reset", "protocol", "no-healthy-origin", "overloaded"]


class UpstreamError(Exception):
    """No answer could be had. `failure` is its named reason; `sent` tells whether request bytes left."""

    def __init__(self, failure: Failure, origin: str, detail: str, *, sent: bool) -> None:
        super().__init__(f"{origin}: {failure}: {detail}")
        self.failure: Failure = failure
        self.origin = origin
        self.detail = detail
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Standing:
    """One origin as it stands. `busy` counts the requests that it answers for this node now."""

    url: str
    prefix: str
    weight: int
    backup: bool
    state: Literal["up", "ejected", "down"]
    busy: int


class Upstream(Protocol):
    """Fetches from a site's origins: chosen by longest path prefix, healthy first, balanced by weight."""

    def standing(self, site: str, path: str) -> Sequence[Standing]:
        """The origins of `site` that answer for `path`, for explanations."""
        ...

    async def fetch(self, site: str, request: Request) -> Answer:
        """The origin's answer as it came, less hop-by-hop fields, its body a stream unless it is empty.

        `request` carries the fields to be sent (the caller has added Via, CDN-Loop and X-Forwarded-*).
        Only idempotent requests without sent body bytes are retried on another origin.
        Raises UpstreamError.
        """
        ...
