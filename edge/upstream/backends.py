"""A site's origins as they stand: who may answer for a path, over which connections, in what health."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import assert_never
from urllib.parse import urlsplit

from edge.config import Site
from edge.document.origins import Balance, HealthCheck, OriginServer
from edge.guard.networks import counted_as
from edge.policy.key import normal_escapes
from edge.policy.paths import covers
from edge.sites import Sites
from edge.upstream.balance import Turns, least_busy, longest, steady
from edge.upstream.contract import Standing
from edge.upstream.health import OriginHealth
from edge.upstream.pool import Endpoint, Pool, TlsContext, client_context

MutualTls = Callable[[], ssl.SSLContext | None]
COMMERCE_CONNECTIONS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Backend:
    """One origin of one site, under one prefix. `check` is the path of its regular checks, if any."""

    url: str
    prefix: str
    weight: int
    pool: Pool
    health: OriginHealth
    backup: bool = False
    check: str | None = None

    @property
    def busy(self) -> int:
        """Requests that it is answering for this node."""
        return self.pool.busy


class Group:
    """Origins of one prefix among which requests are balanced."""

    def __init__(self, balance: Balance, backends: tuple[Backend, ...]) -> None:
        self.backends = backends
        self._balance = balance
        self._turns = Turns(backends)

    def next(self, eligible: Callable[[Backend], bool], client: str) -> Backend | None:
        """Who is next for `client` among the eligible; None where nobody is."""
        if len(self.backends) == 1:
            return self.backends[0] if eligible(self.backends[0]) else None
        match self._balance:
            case "turns":
                return self._turns.next(eligible)
            case "least-connections":
                least = least_busy(backend for backend in self.backends if eligible(backend))
                return self._turns.next(lambda backend: backend in least)
            case "client":
                return steady(filter(eligible, self.backends), counted_as(client))
            case _:
                assert_never(self._balance)


class SiteBackends:
    """The origins of one version of a site."""

    def __init__(self, site: Site, backends: tuple[Backend, ...], commerce: Backend | None) -> None:
        self.site = site
        self.backends = backends
        self.commerce = commerce
        self._groups = {
            prefix: tuple(
                Group(site.balance, group)
                for backup in (False, True)
                if (group := tuple(one for one in backends if one.prefix == prefix and one.backup is backup))
            )
            for prefix in {backend.prefix for backend in backends}
        }
        self._all_in_one = self._groups.keys() == {"/"}

    def choose(
        self, path: str, now: float, tried: frozenset[Backend] = frozenset(), client: str = ""
    ) -> Backend | None:
        """Who answers `client` for `path` next, `tried` left out.

        Those that are up first, backups where none of the others is, then the ejected in the same order.
        None where everyone was tried or is down.
        """
        if "%" in path:
            path = normal_escapes(path)
        if self.commerce is not None and covers(self.commerce.prefix, path):
            return None if self.commerce in tried else self.commerce
        prefix = "/" if self._all_in_one else longest(self._groups, path)
        if prefix is None:
            return None
        for state in ("up", "ejected"):
            for group in self._groups[prefix]:
                found = group.next(
                    lambda backend, wanted=state: (  # type: ignore[misc]
                        backend not in tried and backend.health.state(now) == wanted
                    ),
                    client,
                )
                if found is not None:
                    return found
        return None

    def standing(self, path: str, now: float) -> tuple[Standing, ...]:
        """Those that answer for `path`, in the order in which they are thought of."""
        if "%" in path:
            path = normal_escapes(path)
        if self.commerce is not None and covers(self.commerce.prefix, path):
            chosen: tuple[Backend, ...] = (self.commerce,)
        else:
            prefix = longest(self._groups, path)
            groups = () if prefix is None else self._groups[prefix]
            chosen = tuple(backend for group in groups for backend in group.backends)
        return tuple(
            Standing(one.url, one.prefix, one.weight, one.backup, one.health.state(now), one.busy)
            for one in chosen
        )


class Backends:
    """Every site's origins. Connections and health outlive a change that keeps the origin."""

    def __init__(self, sites: Sites, mutual: MutualTls) -> None:
        self._sites = sites
        self._mutual = mutual
        self._by_site: dict[str, SiteBackends] = {}
        self._pools: dict[Endpoint, Pool] = {}

    def of(self, name: str) -> SiteBackends | None:
        """The origins of the site called `name` as it is configured now."""
        site = self._sites.named(name)
        if site is None:
            self._by_site.pop(name, None)
            return None
        known = self._by_site.get(name)
        if known is None or known.site is not site:
            known = self._by_site[name] = self._build(site, known)
        return known

    def all(self) -> Iterator[SiteBackends]:
        """The origins of every site."""
        for site in self._sites.all():
            backends = self.of(site.name)
            if backends is not None:
                yield backends

    def tend(self) -> None:
        """Closes idle connections that are too old, and every one to an origin nobody names any more."""
        named = {
            backend.pool.endpoint
            for backends in self.all()
            for backend in (*backends.backends, *((backends.commerce,) if backends.commerce else ()))
        }
        for endpoint in [endpoint for endpoint in self._pools if endpoint not in named]:
            self._pools.pop(endpoint).close()
        for pool in self._pools.values():
            pool.tend()

    def close(self) -> None:
        """Closes every idle connection, and lent ones when they come back."""
        for pool in self._pools.values():
            pool.close()

    def _build(self, site: Site, before: SiteBackends | None) -> SiteBackends:
        """Origins of one URL share its health, unless they are checked by paths of their own."""
        old = () if before is None else before.backends
        healths = {(one.url, one.check): one.health for one in old if one.health.check == site.health}
        backends = []
        for origin in site.origins:
            check = origin.check or site.health.path
            health = healths.setdefault((origin.url, check), OriginHealth(site.health))
            backends.append(
                Backend(
                    origin.url,
                    origin.prefix,
                    origin.weight,
                    self._pool(origin),
                    health,
                    origin.backup,
                    check,
                )
            )
        return SiteBackends(site, tuple(backends), self._commerce(site))

    def _commerce(self, site: Site) -> Backend | None:
        if site.commerce is None:
            return None
        url = site.commerce.url
        pool = self._shared(_endpoint(url, verify=True, mutual=True), COMMERCE_CONNECTIONS)
        return Backend(url, site.commerce.prefix, 1, pool, OriginHealth(HealthCheck()))

    def _pool(self, origin: OriginServer) -> Pool:
        return self._shared(_endpoint(origin.url, verify=origin.verify), origin.max_connections)

    def _shared(self, endpoint: Endpoint, limit: int) -> Pool:
        pool = self._pools.get(endpoint)
        if pool is None:
            pool = self._pools[endpoint] = Pool(endpoint, limit, self._tls(endpoint))
        pool.limit = limit
        return pool

    def _tls(self, endpoint: Endpoint) -> TlsContext | None:
        if endpoint.scheme != "https":
            return None
        if endpoint.mutual:
            return lambda: self._mutual() or client_context(verify=True)
        return lambda: client_context(verify=endpoint.verify)


def _endpoint(url: str, *, verify: bool, mutual: bool = False) -> Endpoint:
    parts = urlsplit(url)
    assert parts.hostname is not None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Endpoint(parts.scheme, parts.hostname, port, verify, mutual)
