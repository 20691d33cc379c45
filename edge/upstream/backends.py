"""A site's origins as they stand: who may answer for a path, over which connections, in what health."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from edge.config import HealthCheck, OriginServer, Site
from edge.policy.key import normal_escapes
from edge.sites import Sites
from edge.upstream.balance import Turns, covers, longest
from edge.upstream.health import OriginHealth
from edge.upstream.pool import Endpoint, Pool, TlsContext, client_context

MutualTls = Callable[[], ssl.SSLContext | None]
COMMERCE_CONNECTIONS = 256


@dataclass(frozen=True, slots=True, eq=False)
class Backend:
    """One origin of one site."""

    url: str
    prefix: str
    weight: int
    pool: Pool
    health: OriginHealth


class SiteBackends:
    """The origins of one version of a site."""

    def __init__(self, site: Site, backends: tuple[Backend, ...], commerce: Backend | None) -> None:
        self.site = site
        self.backends = backends
        self.commerce = commerce
        prefixes = {backend.prefix for backend in backends}
        self._turns = {
            prefix: Turns([backend for backend in backends if backend.prefix == prefix])
            for prefix in prefixes
        }

    def choose(self, path: str, now: float, tried: frozenset[Backend] = frozenset()) -> Backend | None:
        """Who answers for `path` next, `tried` left out: those that are up first, then the ejected.

        None where everyone was tried or is down.
        """
        if "%" in path:
            path = normal_escapes(path)
        if self.commerce is not None and covers(self.commerce.prefix, path):
            return None if self.commerce in tried else self.commerce
        prefix = longest(self._turns, path)
        if prefix is None:
            return None
        turns = self._turns[prefix]
        up = turns.next(lambda backend: backend not in tried and backend.health.state(now) == "up")
        if up is not None:
            return up
        return turns.next(lambda backend: backend not in tried and backend.health.state(now) == "ejected")


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
        healths = {backend.url: backend.health for backend in before.backends} if before is not None else {}
        made: dict[str, OriginHealth] = {}

        def health(url: str) -> OriginHealth:
            kept = healths.get(url)
            if url not in made:
                made[url] = (
                    kept if kept is not None and kept.check == site.health else OriginHealth(site.health)
                )
            return made[url]

        backends = tuple(
            Backend(origin.url, origin.prefix, origin.weight, self._pool(origin), health(origin.url))
            for origin in site.origins
        )
        return SiteBackends(site, backends, self._commerce(site))

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
