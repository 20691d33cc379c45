"""The settings of the store that the nodes of a PoP share, and how it is opened."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from edge.clock import Clock
from edge.document.notation import Reference, Seconds, Size, Table
from edge.secrets import resolve
from edge.store.shared import RedisShelf, SharedStore

_SCHEMES = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
PORT = 6379


def _url(value: str) -> str:
    wanted = ValueError(
        "redis://HOST[:PORT][/DATABASE], or rediss:// for TLS; user and password have settings of their own"
    )
    try:
        parts = urlsplit(value)
        fits = parts.port is None or parts.port > 0
    except ValueError:
        raise wanted from None
    path = parts.path.removeprefix("/")
    if parts.scheme not in _SCHEMES or not parts.hostname or not fits or "@" in parts.netloc:
        raise wanted
    if not re.fullmatch(r"[0-9]{0,4}", path) or parts.query or parts.fragment:
        raise wanted
    return value


class SharedTable(Table):
    """Redis or Valkey, which the nodes of a PoP share. While it is down it is left out."""

    url: Annotated[str, AfterValidator(_url)] = Field(
        description="Where it is: redis://HOST[:PORT][/DATABASE], or rediss:// for TLS."
    )
    user: str = Field("", description="The user, if it has users.")
    password: Reference | None = Field(None, description="The password, as file:PATH or env:NAME.")
    authority: str = Field("", description="PEM file: who vouches for its certificate; empty: the system's.")
    timeout: Seconds = Field(0.1, description="Seconds that it may take to answer.")
    max_object: Size = Field(1024 * 1024, description="Larger bodies are not put there.")

    def open(self, clock: Clock) -> SharedStore:
        """The store itself; nothing is sent before it is used. Raises NoSecret."""
        parts = urlsplit(self.url)
        shelf = RedisShelf.dial(
            str(parts.hostname),
            parts.port or PORT,
            db=int(parts.path.removeprefix("/") or 0),
            user=self.user or None,
            password=None if self.password is None else resolve(self.password),
            tls=_SCHEMES[parts.scheme],
            authority=self.authority or None,
            patience=self.timeout,
        )
        return SharedStore(shelf, clock, patience=self.timeout, max_object=self.max_object)
