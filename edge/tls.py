"""TLS towards clients: a certificate for each host, chosen by SNI, replaced while connections stay open."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

from cryptography import x509

from edge.sites import without_port

HTTP1 = ("http/1.1",)
HTTP2 = ("h2", "http/1.1")


class BadCertificate(ValueError):
    """A certificate or key that can't be used; the text names the file and says why."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """PEM files: a certificate with its chain, and its key."""

    cert: Path
    key: Path

    def context(self, protocols: tuple[str, ...] = HTTP1) -> ssl.SSLContext:
        """A server's context that offers `protocols` (RFC 7301). Raises BadCertificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(protocols)
        context.options |= ssl.OP_NO_RENEGOTIATION
        for file in (self.cert, self.key):
            try:
                file.read_bytes()
            except OSError as error:
                raise BadCertificate(f"{file} can't be read: {error.strerror}") from None
        try:
            context.load_cert_chain(self.cert, self.key, password="")
        except (ssl.SSLError, ValueError) as error:
            reason = getattr(error, "reason", None) or str(error)
            raise BadCertificate(f"{self.cert} and {self.key} are no certificate and key: {reason}") from None
        return context

    def hosts(self) -> tuple[str, ...]:
        """The names that the certificate vouches for. Raises BadCertificate."""
        try:
            certificate = x509.load_pem_x509_certificate(self.cert.read_bytes())
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return ()
        except (OSError, ValueError) as error:
            raise BadCertificate(f"{self.cert} can't be read as a certificate: {error}") from None
        found = names.get_values_for_type(x509.DNSName)
        return tuple(name.lower() for name in found)


class Certificates:
    """The certificates of a node's HTTPS listeners. `context` is what listeners use; it never changes."""

    def __init__(self, protocols: tuple[str, ...] = HTTP1) -> None:
        """`protocols` are offered to clients."""
        self._protocols = protocols
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.context.set_alpn_protocols(protocols)
        self.context.sni_callback = self._choose
        self._default: ssl.SSLContext | None = None
        self._named: dict[str, Named] = {}
        self._by_host: Mapping[str, Named] = {}
        self._shown: WeakKeyDictionary[object, Named | None] = WeakKeyDictionary()

    def set_default(self, pair: KeyPair | None) -> None:
        """What hosts without a certificate of their own are shown. Raises BadCertificate."""
        self._default = None if pair is None else pair.context(self._protocols)

    def put(self, name: str, hosts: tuple[str, ...], pair: KeyPair) -> None:
        """`pair` for `hosts` from now on. Raises BadCertificate, changing nothing."""
        self._named[name] = Named(hosts, pair.context(self._protocols))
        self._index()

    def keep_only(self, names: frozenset[str]) -> None:
        """Forgets every certificate that is not one of `names`."""
        self._named = {name: entry for name, entry in self._named.items() if name in names}
        self._index()

    def find(self, host: str | None) -> ssl.SSLContext | None:
        """The context for `host`: its own, its wildcard's, the default."""
        named = self._find(host)
        return self._default if named is None else named.context

    def vouches(self, connection: object, host: str) -> bool:
        """Whether what `connection` was shown in its handshake is for `host` too."""
        shown = self._shown.get(connection)
        if shown is None:  # the default: for whatever has none of its own
            return self._find(host) is None
        return any(name in shown.hosts for name in _spellings(host))

    def _find(self, host: str | None) -> Named | None:
        found = (self._by_host.get(name) for name in _spellings(host or ""))
        return next((named for named in found if named is not None), None)

    def _index(self) -> None:
        self._by_host = {host: named for named in self._named.values() for host in named.hosts}

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, host: str | None, _: ssl.SSLContext
    ) -> int | None:
        """Called in each handshake (RFC 6066 §3)."""
        named = self._find(host)
        found = self._default if named is None else named.context
        if found is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        self._shown[connection] = named
        connection.context = found
        return None


@dataclass(frozen=True, slots=True)
class Named:
    """A certificate of some hosts."""

    hosts: tuple[str, ...]
    context: ssl.SSLContext


def _spellings(host: str) -> tuple[str, ...]:
    """How a certificate may name `host`: as it is, or by a wildcard."""
    name = without_port(host.lower())
    return (name, "*" + name[name.find(".") :]) if "." in name else (name,)
