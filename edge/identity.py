"""Who a node is to control: a key of its own making, and the certificate that control's authority gave it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import logging
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge.secrets import resolve

log = logging.getLogger("tepi.identity")

JOIN_SECONDS = 10.0


class JoinRefused(Exception):
    """Control did not take this node in, or is not the control that the token was made by."""


class JoinFailed(Exception):
    """Control could not be reached; trying again may help."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A node's name and role, and the files that prove them. `journal_key` verifies control's journal."""

    directory: Path
    name: str
    role: str
    journal_key: bytes

    @property
    def key(self) -> Path:
        """The private key, PEM."""
        return self.directory / "key.pem"

    @property
    def certificate(self) -> Path:
        """This node's certificate, PEM."""
        return self.directory / "certificate.pem"

    @property
    def authority(self) -> Path:
        """Control's authority, PEM."""
        return self.directory / "authority.pem"

    def client_context(self) -> ssl.SSLContext:
        """TLS towards control, peers and the commerce origin: both sides show a certificate."""
        context = ssl.create_default_context(cafile=str(self.authority))
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.certificate, self.key)
        return context

    def server_context(self) -> ssl.SSLContext:
        """TLS of a listener that takes only the fleet's own nodes."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.certificate, self.key)
        context.load_verify_locations(str(self.authority))
        context.verify_mode = ssl.CERT_REQUIRED
        return context


def load(state: Path) -> Identity | None:
    """The identity kept under `state`, or None before the node has joined."""
    directory = state / "identity"
    try:
        about = json.loads((directory / "node.json").read_text())
        return Identity(directory, about["name"], about["role"], base64.b64decode(about["journal_key"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


async def join(state: Path, url: str, token: str, version: str) -> Identity:
    """Joins control at `url` with a one-time `token`, and keeps the identity under `state`.

    The secret leaves only after control has shown the authority whose fingerprint is in the token.
    Raises JoinRefused, JoinFailed.
    """
    secret, dot, fingerprint = token.strip().rpartition(".")
    if not dot or len(fingerprint) != 64:
        raise JoinRefused("join token: expected SECRET.FINGERPRINT, as `tepi node add` printed it")
    timeout = aiohttp.ClientTimeout(total=JOIN_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            authority = await _authority(session, url, fingerprint)
            key = ec.generate_private_key(ec.SECP256R1())
            body = {"token": secret, "csr": _signing_request(key), "version": version}
            context = ssl.create_default_context(cadata=authority)
            async with session.post(f"{url}/node/v1/join", json=body, ssl=context) as response:
                answer = await response.json(content_type=None)
                if response.status >= 500:
                    raise JoinFailed(f"control at {url} answered {response.status}")
                if response.status != 200:
                    raise JoinRefused(f"control at {url} refused this node: {answer.get('detail', answer)}")
    except ssl.SSLError as error:
        raise JoinRefused(f"control at {url} showed a certificate of another authority: {error}") from error
    except (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError) as error:
        raise JoinRefused(f"control at {url} showed a certificate of another authority: {error}") from error
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise JoinFailed(f"control at {url} can't be reached: {error}") from error
    return await asyncio.to_thread(_keep, state / "identity", key, authority, answer)


async def _authority(session: aiohttp.ClientSession, url: str, fingerprint: str) -> str:
    async with session.get(f"{url}/node/v1/authority", ssl=False) as response:
        pem = await response.text()
    try:
        found = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()
    except ValueError:
        found = "nothing"
    if found != fingerprint:
        raise JoinRefused(
            f"control at {url} is not the one that made this join token: its authority's fingerprint is "
            f"{found}, expected {fingerprint}"
        )
    return pem


def _signing_request(key: ec.EllipticCurvePrivateKey) -> str:
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "joining")]))
        .sign(key, hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM).decode()


def _keep(
    directory: Path, key: ec.EllipticCurvePrivateKey, authority: str, answer: dict[str, Any]
) -> Identity:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    about = {name: answer[name] for name in ("name", "role", "journal_key")}
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(directory / "key.pem", private)
    write_private(directory / "certificate.pem", answer["certificate"].encode())
    write_private(directory / "authority.pem", authority.encode())
    write_private(directory / "node.json", json.dumps(about).encode())  # last: it makes the identity whole
    return Identity(directory, about["name"], about["role"], base64.b64decode(about["journal_key"]))


def write_private(path: Path, data: bytes) -> None:
    """Writes `data` for its owner's eyes alone, whole or not at all, and durably."""
    partial = path.with_name(f".{path.name}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


async def obtain(
    state: Path, url: str, token_reference: str | None, version: str, *, pause: float = 1.0
) -> Identity:
    """This node's identity: the one kept under `state`, else a new one, once control can be reached.

    Raises JoinRefused, and NoSecret if a token is needed and can't be read.
    """
    known = load(state)
    if known is not None:
        return known
    if not token_reference:
        raise JoinRefused("this node has not joined yet: control.join_token must name its one-time token")
    token = resolve(token_reference)
    while True:
        try:
            return await join(state, url, token, version)
        except JoinFailed as error:
            log.warning("%s; trying again in %g s", error, pause)
            await asyncio.sleep(pause)
