"""What tests of the origin stand on: a clock to turn, a database, a running origin, a fleet's keys."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import BaseModel

from control.authority import Authority
from edge.identity import Identity
from origin.app import Bound, Origin, Wiring, serving
from origin.contract import Plugin, PluginDefaults
from origin.db.database import Database, sqlite_url
from origin.registry import settings_of
from origin.settings import OriginSettings

NOON = 1_800_000_000.0


@dataclass(slots=True)
class Clock:
    """A wall clock that a test turns."""

    now: float = NOON

    def __call__(self) -> float:
        return self.now


class NoSettings(BaseModel):
    """A plugin without settings."""


class Bare(PluginDefaults):
    """The least that a plugin is."""

    name = "bare"
    settings = NoSettings


@asynccontextmanager
async def database(directory: Path) -> AsyncIterator[Database]:
    """A migrated database in `directory`."""
    found = Database(sqlite_url(directory / "origin.db"))
    try:
        await found.migrate()
        yield found
    finally:
        await found.close()


@asynccontextmanager
async def running(
    directory: Path,
    *kinds: type[Plugin],
    wiring: Wiring | None = None,
    tables: Mapping[str, Mapping[str, Any]] | None = None,
    **settings: Any,
) -> AsyncIterator[tuple[Origin, Bound]]:
    """An origin with these plugins on free ports."""
    plugins = {kind.name: kind for kind in kinds}
    document = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "state": str(directory), **settings}
    origin = Origin(
        OriginSettings.model_validate(document),
        plugins,
        settings_of(plugins, tables or {}),
        wiring or Wiring(Clock(), lambda: 0.5),
    )
    async with serving(origin) as bound:
        yield origin, bound


@dataclass(frozen=True, slots=True)
class Keys:
    """A fleet's authority, and the identities that it has signed."""

    directory: Path
    authority: Authority

    @classmethod
    def under(cls, directory: Path) -> Keys:
        return cls(directory, Authority.open(directory / "authority", datetime.now(UTC)))

    def identity(self, name: str, role: str) -> tuple[Identity, str]:
        """A member's identity, and the serial by which control knows its certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        request = (
            x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        )
        text = request.public_bytes(serialization.Encoding.PEM).decode()
        hosts = ("127.0.0.1", "localhost")
        certificate, serial = self.authority.sign_node(text, name, role, hosts, datetime.now(UTC))
        home = self.directory / name
        home.mkdir()
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (home / "key.pem").write_bytes(private)
        (home / "certificate.pem").write_text(certificate)
        (home / "authority.pem").write_text(self.authority.pem)
        return Identity(home, name, role, b""), serial


def without_certificate(identity: Identity) -> ssl.SSLContext:
    """A client that trusts the fleet's authority, and shows nothing."""
    return ssl.create_default_context(cafile=str(identity.authority))


def with_mutual(wiring: Wiring, identity: Identity, serials: Mapping[str, str]) -> Wiring:
    """`wiring` with a listener for the nodes whose certificates have `serials`."""
    return replace(
        wiring,
        mutual=identity.server_context(),
        is_member=lambda name, serial: serials.get(name) == serial,
    )


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Returns once `holds` does; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(0.01)
