"""A node's listening sockets: one a worker on each address, among which the kernel shares out connections.

The supervisor holds them open for as long as the address is wanted: whoever takes a dead worker's place finds
the connections that were waiting for it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable

from edge.document.notation import Address
from edge.listeners import BACKLOG, AddressTaken, Wanted, cannot_listen


class Sockets:
    """The sockets of each wanted address, by worker."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._open: dict[Wanted, list[socket.socket]] = {}

    def of(self, worker: int) -> dict[Wanted, socket.socket]:
        """What a worker listens on."""
        return {wanted: sockets[worker] for wanted, sockets in self._open.items()}

    def addresses(self) -> list[tuple[str, Address]]:
        """Scheme and address of each, a port that was 0 as the one it became."""
        return [
            ("https" if wanted.secure else "http", Address(*sockets[0].getsockname()[:2]))
            for wanted, sockets in self._open.items()
        ]

    def add(self, wanted: Iterable[Wanted]) -> list[Wanted]:
        """Opens what is not open yet; which were opened. Raises AddressTaken, having changed nothing."""
        added: dict[Wanted, list[socket.socket]] = {}
        try:
            for each in wanted:
                if each not in self._open and each not in added:
                    added[each] = self._opened(each)
        except AddressTaken:
            for sockets in added.values():
                _close(sockets)
            raise
        self._open |= added
        return list(added)

    def keep(self, wanted: Iterable[Wanted]) -> None:
        """Closes all others."""
        target = set(wanted)
        for each in [each for each in self._open if each not in target]:
            _close(self._open.pop(each))

    def close(self) -> None:
        """Closes every one."""
        self.keep(())

    def _opened(self, wanted: Wanted) -> list[socket.socket]:
        """A socket each, bound alike; a port that is 0 becomes the same one for all."""
        host, port = wanted.address.host, wanted.address.port
        sockets: list[socket.socket] = []
        try:
            family, *_, where = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            if port:  # sharing a port hides that a stranger has it: ask once without
                with _bound(family, where, shared=False):
                    pass
            for _ in range(self._workers):
                sockets.append(_bound(family, where, shared=True))
                where = sockets[0].getsockname()
            for each in sockets:
                each.listen(BACKLOG)
        except OSError as error:
            _close(sockets)
            flag = "listen_tls" if wanted.secure else "--listen"
            raise AddressTaken(cannot_listen(wanted.address, error, flag)) from error
        return sockets


def _bound(family: int, where: tuple[object, ...], *, shared: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(where)
    except OSError:
        made.close()
        raise
    return made


def _close(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.close()
