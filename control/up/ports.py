"""The ports of a local fleet, and whether they are free. Nodes differ by loopback address only."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, fields

HIGHEST_PORT = 65535
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    """One port for each listener; `http`, `https` and `edge_admin` are taken on every node's address."""

    http: int = 8080
    https: int = 8443
    dns: int = 5300
    control: int = 8300
    nodes: int = 8301
    origin: int = 8400
    origin_mutual: int = 8401
    edge_admin: int = 8500
    control_admin: int = 8501
    origin_admin: int = 8502
    dns_admin: int = 8503
    sandbox: int = 8504


class PortTaken(Exception):
    """A listener's address is in use, or may not be bound by this user."""


def ports_from(first: int) -> Ports:
    """The ports from `first` upwards, in the order of `Ports`. ValueError if they would run out."""
    count = len(fields(Ports))
    if not 1 <= first <= HIGHEST_PORT - count + 1:
        raise ValueError(f"--port: got {first}, expected 0 (free ports) or 1 to {HIGHEST_PORT - count + 1}")
    return Ports(*range(first, first + count))


def free_ports(addresses: tuple[str, ...]) -> Ports:
    """Ports that nobody listens on now, the traffic ports free on each of `addresses`."""
    found: list[int] = []
    while len(found) < len(fields(Ports)):
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = probe.getsockname()[1]
        everywhere = [(host, port, kind) for host in addresses for kind in _KINDS]
        if port not in found and not any(_refusal(*listener) for listener in everywhere):
            found.append(port)
    return Ports(*found)


def check(ports: Ports, addresses: tuple[str, ...]) -> None:
    """Raises PortTaken, naming listener and address, unless every listener of the fleet can be opened."""
    if len(set(astuple(ports))) != len(astuple(ports)):
        raise PortTaken(f"the same port is asked for twice: {ports}")
    for purpose, host, port, kind in _listeners(ports, addresses):
        refusal = _refusal(host, port, kind)
        if refusal:
            raise PortTaken(
                f"{host}:{port} ({purpose}) can't be opened: {refusal}. "
                "Stop what uses it, or move the fleet with --port N (0 takes free ports)."
            )


_KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
_ON_EVERY_NODE = frozenset({"http", "https", "edge_admin"})


def _listeners(ports: Ports, addresses: tuple[str, ...]) -> Iterator[tuple[str, str, int, socket.SocketKind]]:
    for name in (field.name for field in fields(ports)):
        port: int = getattr(ports, name)
        hosts: Iterable[str] = addresses if name in _ON_EVERY_NODE else (LOOPBACK,)
        kinds = _KINDS if name == "dns" else (socket.SOCK_STREAM,)
        for host in hosts:
            for kind in kinds:
                yield name.replace("_", " "), host, port, kind


def _refusal(host: str, port: int, kind: socket.SocketKind) -> str | None:
    with socket.socket(socket.AF_INET, kind) as probe:
        if kind == socket.SOCK_STREAM:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return (error.strerror or str(error)).lower()
    return None
