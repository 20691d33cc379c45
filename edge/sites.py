"""Which site a host belongs to: an immutable table, replaced as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from edge.config import Site
from edge.policy.rules import SiteRules

FOUND = 4_096  # hosts of which it is remembered whose they are


@dataclass(slots=True, eq=False)
class Served:
    """A site and its rules as policy sees them. `current` turns false, for good, when others replace them."""

    site: Site
    rules: SiteRules
    current: bool = True


@dataclass(frozen=True, slots=True)
class _Table:
    names: Mapping[str, Served]
    hosts: Mapping[str, Served]
    suffixes: Mapping[str, Served]  # ".shop.test" of "*.shop.test"
    rest: Served | None  # of "*"
    found: dict[str, Served | None] = field(default_factory=dict)  # what hosts lately were


class Sites:
    """The sites of a node. Each lookup sees one whole table, never half of a change."""

    def __init__(self, sites: Iterable[Site] = ()) -> None:
        self._table = _build(sites, {})

    def replace(self, sites: Iterable[Site]) -> frozenset[str]:
        """Exactly `sites` from now on; the names of those that share pages otherwise than before.

        What was proven of one that stays as it was still holds.
        """
        before = self._table.names
        self._table = _build(sites, before)
        for served in before.values():
            served.current = self._table.names.get(served.site.name) is served
        return frozenset(
            name
            for name, served in self._table.names.items()
            if name in before and _sharing(served.rules) != _sharing(before[name].rules)
        )

    def put(self, site: Site) -> frozenset[str]:
        """`site` from now on, in place of the one of its name; a host that it claims is its own.

        Returns what `replace` does.
        """
        return self.replace([*(old for old in self.all() if old.name != site.name), site])

    def delete(self, name: str) -> None:
        """No site called `name` any more."""
        self.replace([site for site in self.all() if site.name != name])

    def all(self) -> tuple[Site, ...]:
        """Every site, in the order they came."""
        return tuple(served.site for served in self._table.names.values())

    def served(self) -> tuple[Served, ...]:
        """Every site with its rules."""
        return tuple(self._table.names.values())

    def named(self, name: str) -> Site | None:
        """The site called `name`."""
        served = self._table.names.get(name)
        return None if served is None else served.site

    def find(self, host: str) -> Served | None:
        """Whose `host` it is: its own name first, then the longest wildcard, then `*`. A port is ignored."""
        table = self._table
        if host in table.found:
            return table.found[host]
        if len(table.found) >= FOUND:
            table.found.clear()
        found = table.found[host] = self._sought(table, host)
        return found

    @staticmethod
    def _sought(table: _Table, host: str) -> Served | None:
        served = table.hosts.get(host)
        if served is not None:
            return served
        name = without_port(host)
        served = table.hosts.get(name)
        if served is not None:
            return served
        if table.suffixes:
            dot = name.find(".")
            while dot != -1:
                served = table.suffixes.get(name[dot:])
                if served is not None:
                    return served
                dot = name.find(".", dot + 1)
        return table.rest

    def rules(self, host: str) -> SiteRules | None:
        """The rules for `host`, or None where nobody claims it."""
        served = self.find(host)
        return None if served is None else served.rules


def _sharing(rules: SiteRules) -> tuple[object, ...]:
    """By what pages are shared, and what was made of them as they were stored."""
    return rules.classes.pages, rules.guard, rules.share_set_cookie


def without_port(host: str) -> str:
    """`host` less its port and a root dot: `shop.test.:8080` is `shop.test`."""
    if host.startswith("["):
        return host[: host.find("]") + 1]
    return host.partition(":")[0].rstrip(".")


def _build(sites: Iterable[Site], before: Mapping[str, Served]) -> _Table:
    names = {
        site.name: served
        if (served := before.get(site.name)) is not None and (served.site is site or served.site == site)
        else Served(site, site.rules())
        for site in sites
    }
    hosts: dict[str, Served] = {}
    suffixes: dict[str, Served] = {}
    rest: Served | None = None
    for served in names.values():
        for host in served.site.hosts:
            if host == "*":
                rest = served
            elif host.startswith("*."):
                suffixes[host[1:]] = served
            else:
                hosts[host] = served
    return _Table(names, hosts, suffixes, rest)


def shared_as(site: Site) -> str:
    """What of `site` must be the same for what was stored of it to be served still."""
    kept = {"hosts", "pages", "guard", "platform"}
    text = f"{site.model_dump_json(include=kept)} {site.cache.share_set_cookie}"
    return blake2b(text.encode(), digest_size=16).hexdigest()
