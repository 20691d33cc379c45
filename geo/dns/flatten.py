"""Keeps the addresses of names elsewhere to which ALIAS records lead, the last known where nobody answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver

from geo.dns.answer import Flattened, Responder
from geo.dns.message import Record, Type
from geo.dns.zone import is_within

SHORTEST, LONGEST = 5.0, 3600.0  # seconds between two questions for a name
PATIENCE = 5.0  # seconds for one

log = logging.getLogger("tepi.dns.flatten")


def targets(responder: Responder) -> frozenset[bytes]:
    """The names outside the responder's zones that its ALIAS records lead to."""
    found = {
        record.data.lower()
        for area in responder.areas.values()
        for _, name in area.names.items()
        for record in name.sets.get(Type.ALIAS, ())
    }
    return frozenset(one for one in found if not any(is_within(one, apex) for apex in responder.areas))


class Flattener:
    """Asks `resolvers` (default: the system's) for each target; `on_change` hears all that is known."""

    def __init__(
        self, resolvers: Iterable[str], on_change: Callable[[Flattened], None], *, port: int = 53
    ) -> None:
        servers = list(resolvers)
        self._resolver = dns.asyncresolver.Resolver(configure=not servers)
        if servers:
            self._resolver.nameservers = servers
            self._resolver.port = port
        self._on_change = on_change
        self._known: dict[tuple[bytes, int], tuple[Record, ...]] = {}
        self._due: dict[bytes, float] = {}
        self._changed = asyncio.Event()

    def watch(self, names: frozenset[bytes]) -> None:
        """From now on asks for `names`; what is known of those that stay is kept."""
        self._due = {name: self._due.get(name, 0.0) for name in names}
        self._known = {key: found for key, found in self._known.items() if key[0] in names}
        self._changed.set()

    async def run(self) -> None:
        """Asks until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            due = [name for name, at in self._due.items() if at <= loop.time()]
            before = dict(self._known)
            waits = await asyncio.gather(*(self._refresh(name) for name in due))
            for name, wait in zip(due, waits, strict=True):
                if name in self._due:
                    self._due[name] = loop.time() + wait
            if self._known != before:
                self._on_change(dict(self._known))
            rest = min(self._due.values(), default=loop.time() + LONGEST) - loop.time()
            try:
                async with asyncio.timeout(max(0.0, rest)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _refresh(self, name: bytes) -> float:
        """Asks for both families of addresses; the seconds until the next time."""
        asked = dns.name.from_wire(name, 0)[0]
        waits = [LONGEST]
        for kind in (Type.A, Type.AAAA):
            try:
                answer = await self._resolver.resolve(
                    asked, dns.rdatatype.RdataType.make(kind), raise_on_no_answer=False, lifetime=PATIENCE
                )
            except dns.resolver.NXDOMAIN:
                self._known[name, kind], wait = (), SHORTEST
            except (dns.exception.DNSException, OSError) as error:
                log.warning("nobody says where %s is, which an ALIAS leads to: %s", asked, error)
                wait = SHORTEST
            else:
                ttl = answer.rrset.ttl if answer.rrset is not None else int(SHORTEST)
                found = sorted(item.to_wire() or b"" for item in answer.rrset or ())
                self._known[name, kind] = tuple(Record(name, kind, ttl, data) for data in found)
                wait = float(ttl)
            waits.append(wait)
        return max(SHORTEST, min(waits))
