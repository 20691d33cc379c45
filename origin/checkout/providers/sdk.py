"""Asking through a provider's own library: in a thread, for these libraries wait, and never for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from origin.checkout.providers.contract import Unanswered, Unavailable

T = TypeVar("T")
SECONDS = 15.0
NOT_REACHED = ("NewConnectionError", "Connection refused", "Name or service not known", "ConnectTimeout")


async def asked(call: Callable[..., T], *words: Any, **options: Any) -> T:
    """What `call` returns. Raises what it raises."""
    return await asyncio.to_thread(call, *words, **options)


def silence(error: Exception) -> Unavailable | Unanswered:
    """What an answer that did not come means: a connection that never was did nothing."""
    text = f"{type(error).__name__}: {error}"
    kind = Unavailable if any(sign in text for sign in NOT_REACHED) else Unanswered
    return kind(text[:300])


class Limited:
    """The `requests` library with a limit of time, for clients that set none."""

    def __init__(self, http: Any) -> None:
        self._http = http

    def request(self, method: str, url: str, **options: Any) -> Any:
        """A request that ends within SECONDS."""
        return self._http.request(method, url, timeout=SECONDS, **options)
