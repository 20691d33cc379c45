"""What an operator tells the commerce origin: its configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Table(BaseModel):
    """A table of settings: unknown keys and wrong types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ControlTable(Table):
    """The control plane whose authority vouches for nodes."""

    url: str = Field(description="Its node listener, https://HOST:PORT.", pattern=r"^https://")
    join_token: str | None = Field(
        None,
        description="The one-time token, as file:PATH or env:NAME; needed for the first start only.",
        pattern=r"^(file|env):.+",
    )


class PurgesTable(Table):
    """Where purges go."""

    url: str = Field(description="Control's API, http(s)://HOST:PORT.", pattern=r"^https?://")
    token: str = Field(
        description="A token with the scope purge, as file:PATH or env:NAME.", pattern=r"^(file|env):.+"
    )


class OriginSettings(Table):
    """The commerce origin's configuration file."""

    part: ClassVar[str] = "origin"

    state: str = Field(".tepi/origin", description="Directory of the database and of this origin's secret.")
    database: str = Field("", description="A database URL; empty: the file origin.db in the state directory.")
    listen: str = Field("127.0.0.1:8400", description="HOST:PORT for plain HTTP: nobody's word is taken.")
    mutual_listen: str = Field(
        "", description="HOST:PORT for the fleet's nodes, over mutual TLS; needs [control]. Empty: none."
    )
    admin: str = Field("127.0.0.1:8402", description="HOST:PORT of metrics and health.")
    prefix: str = Field(
        "/commerce",
        description="The prefix under which sites show this origin.",
        pattern=r"^/[a-z0-9/-]*[a-z0-9]$",
    )
    control: ControlTable | None = Field(None, description="The control plane to join.")
    purges: PurgesTable | None = Field(None, description="Where purges go; unset, they wait in the outbox.")
    webhook_secret: str | None = Field(
        None,
        description="What the edge signs webhooks with (whsec_…): file:PATH or env:NAME; unset: none taken.",
        pattern=r"^(file|env):.+",
    )
    pages_secret: str | None = Field(
        None,
        description="What control signs its users' names with: file:PATH or env:NAME, the same as its own.",
        pattern=r"^(file|env):.+",
    )
    plugins: dict[str, dict[str, Any]] = Field({}, description="A table of settings for each plugin.")

    @field_validator("listen", "admin", "mutual_listen")
    @classmethod
    def _is_an_address(cls, text: str) -> str:
        if text:
            split_address(text)
        return text

    @model_validator(mode="after")
    def _has_a_certificate_for_nodes(self) -> Self:
        if self.mutual_listen and self.control is None:
            raise ValueError("mutual_listen needs [control], whose authority vouches for nodes")
        return self

    @property
    def directory(self) -> Path:
        """`state` as a path."""
        return Path(self.state)


def split_address(text: str) -> tuple[str, int]:
    """`HOST:PORT` in two. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError("HOST:PORT, for example 127.0.0.1:8400")
    return host.strip("[]"), int(port)
