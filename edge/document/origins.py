"""The tables of a site's document that say which servers answer for it, and how they are checked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from edge.document.notation import Many, OriginUrl, Prefix, Seconds, Table
from edge.http.carts import keys_of


class OriginServer(Table):
    """One server that can answer for a site."""

    url: OriginUrl = Field(description="Where it listens: http://HOST:PORT or https://HOST:PORT.")
    prefix: Prefix = Field("/", description="Paths it answers for; the longest matching prefix wins.")
    weight: int = Field(1, ge=1, le=1000, description="Its share of requests among origins of one prefix.")
    backup: bool = Field(
        False, description="Whether it is asked only while no other origin of its prefix is up."
    )
    check: Prefix | None = Field(None, description="Asked regularly of it in place of `health.path`.")
    max_connections: int = Field(256, ge=1, le=65_536, description="Connections a node holds to it at most.")
    verify: bool = Field(True, description="Whether an https certificate must be valid for the host.")


Balance = Literal["turns", "least-connections", "client"]


class HealthCheck(Table):
    """How a node learns that an origin can't answer."""

    path: Prefix | None = Field(None, description="Asked regularly; unset, only real requests tell.")
    interval: Seconds = Field(5.0, description="Seconds between two checks of one origin.")
    timeout: Seconds = Field(2.0, description="Seconds a check may take.")
    rise: int = Field(2, ge=1, le=100, description="Good checks in a row that bring an origin back.")
    fall: int = Field(3, ge=1, le=100, description="Failures in a row, checks or requests, that take it out.")
    eject: Seconds = Field(
        10.0, description="Seconds an origin is avoided after failed requests; doubles up to 16-fold."
    )


class Timeouts(Table):
    """How long origins may take, in seconds."""

    connect: Seconds = Field(5.0, description="Until a connection, TLS included, stands.")
    first_byte: Seconds = Field(30.0, description="From the request's end to the answer's head.")
    between_bytes: Seconds = Field(30.0, description="Between two pieces of the answer's body.")
    total: Seconds = Field(300.0, description="For a whole answer, unless it is an event stream.")
    stream: Seconds = Field(300.0, description="Event streams and WebSockets may be silent this long.")


class Commerce(Table):
    """The commerce origin: asked for everything under one prefix, over mutual TLS."""

    prefix: Prefix = Field("/commerce", description="Paths that the commerce origin answers.")
    url: OriginUrl = Field(description="Its mutual listener: https://HOST:PORT (http without mutual TLS).")
    cart_keys: Annotated[tuple[str, ...], Many] = Field(
        (),
        max_length=8,
        description="Public keys of its cart tokens, as ID:KEY; nodes refuse what they did not sign.",
    )

    @field_validator("prefix")
    @classmethod
    def _is_a_part(cls, prefix: str) -> str:
        if not prefix.strip("/"):
            raise ValueError("a prefix other than /, for example /commerce")
        return prefix.rstrip("/")

    @field_validator("cart_keys")
    @classmethod
    def _are_keys(cls, written: tuple[str, ...]) -> tuple[str, ...]:
        keys_of(written)
        return written
