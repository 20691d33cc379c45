"""What an operator tells control: its configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationError

from control.rights import Role
from edge.document.files import read_toml
from edge.document.notation import Address, Listen, Many, Reference, Table
from edge.document.problems import Refused, problems_of


class TlsTable(Table):
    """The certificate of dashboard and API."""

    cert: str = Field(description="PEM file: the certificate, then its chain.")
    key: str = Field(description="PEM file: the certificate's private key.")


class OriginTable(Table):
    """The commerce origin whose plugins' pages the dashboard shows."""

    admin: str = Field(description="Its admin listener, http(s)://HOST:PORT.", pattern=r"^https?://")
    pages_secret: str = Field(
        description="What users' names are signed with, as file:PATH or env:NAME; the origin has it too.",
        pattern=r"^(file|env):.+",
    )
    permissions: dict[str, Role] = Field(
        {},
        description="The least role that a plugin's permission is given to, such as "
        '`"checkout.money" = "admin"`. One that is not named lets everybody see its pages, and operators and '
        "admins use their forms.",
    )


class ControlSettings(Table):
    """Control's configuration file."""

    part: ClassVar[str] = "control"

    state: str = Field(
        ".tepi/control", description="Directory of the database, the authority's key and the journal's key."
    )
    database: str = Field(
        "",
        description="postgresql://USER@HOST/NAME, as libpq reads it; empty: the file control.db in state.",
    )
    listen: Listen = Field(Address("127.0.0.1", 8300), description="Dashboard and API.")
    tls: TlsTable | None = Field(None, description="Set, dashboard and API speak HTTPS.")
    nodes_listen: Listen = Field(
        Address("127.0.0.1", 8301), description="Where nodes join and stay connected, over mutual TLS."
    )
    nodes_hosts: Annotated[tuple[str, ...], Many] = Field(
        ("localhost", "127.0.0.1"),
        description="Host names and addresses by which nodes reach nodes_listen; its certificate bears them.",
    )
    admin: Listen = Field(
        Address("127.0.0.1", 8302), description="Metrics and health, for the machine's own eyes."
    )
    journal_keep: int = Field(
        10_000, ge=10, description="Events kept; a node that missed more gets a snapshot."
    )
    journal_nats: str = Field(
        "",
        pattern=r"^$|^(nats|tls)://.+",
        description="A NATS server with JetStream, as nats://HOST:PORT or tls://HOST:PORT, that carries the "
        "journal to the nodes; empty: control's own stream.",
    )
    token_hours: int = Field(24, ge=1, le=24 * 365, description="Hours after which a join token expires.")
    origin: OriginTable | None = Field(None, description="Whose plugins' pages the dashboard shows.")
    first_tokens: dict[Literal["admin", "nodes", "purge"], Reference] = Field(
        {},
        description="API tokens, by scope, that hold from the first start on, as file:PATH or env:NAME: "
        "`tepi_` and 32 characters or more. Later starts do not read them.",
    )
    session_hours: int = Field(12, ge=1, le=24 * 90, description="Hours that a dashboard login holds.")

    @property
    def directory(self) -> Path:
        """`state` as a path."""
        return Path(self.state)


def load_control(path: Path) -> ControlSettings:
    """Reads a configuration file. Raises Refused with every problem that was found."""
    try:
        return ControlSettings.model_validate(read_toml(path))
    except ValidationError as error:
        raise Refused(problems_of(error, ControlSettings)) from None
