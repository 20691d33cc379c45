"""Carrying out purges: what is stored, arriving or still being asked for is refused before this returns."""

from __future__ import annotations

import logging
from collections.abc import Callable

from edge.fetching import Fetching
from edge.policy.key import host_name
from edge.policy.keying import spelled
from edge.policy.rules import SiteRules
from edge.position import Position
from edge.purge import Mark, Purge, Site, Weight, mark_of
from edge.store.contract import Store

logger = logging.getLogger("tepi.edge")


class Purging:
    """The pipeline's way to forget."""

    def __init__(
        self,
        sites: Callable[[str], SiteRules | None],
        store: Store,
        fetching: Fetching,
        on_mark: Callable[[Mark], None],
    ) -> None:
        """`on_mark` is told of each purge beside the store."""
        self._on_mark = on_mark
        self._sites = sites
        self._store = store
        self._fetching = fetching
        store.on_mark = self._hear

    async def weigh(self, purge: Purge) -> Weight:
        """What `purge` would drop. Raises ValueError for a value that is no URL."""
        site = self._site_named(purge.value) if purge.kind == "site" else ""
        return await self._store.weigh(mark_of(purge, site, self._spelled))

    async def purge(self, purge: Purge, at: Position) -> int:
        """Forget what matches; the number of entries found. Raises ValueError for a value that is no URL."""
        site = self._site_named(purge.value) if purge.kind == "site" else ""
        mark = mark_of(purge, site, self._spelled)
        if site:
            self._fetching.proving.proofs.forget(site)
        found = await self._fetching.invalidate(mark, at)
        self._on_mark(mark)
        logger.info(
            "purged",
            extra={
                "kind": purge.kind,
                "value": purge.value,
                "soft": purge.soft,
                "entries": found,
                "position": at.number,
            },
        )
        return found

    def _hear(self, mark: Mark | None) -> None:
        """Another worker was told to forget what `mark` strikes; None: to trust nothing."""
        fetching = self._fetching
        if mark is None:
            fetching.trusted = fetching.log.advance()
            return
        if isinstance(mark, Site):
            fetching.proving.proofs.forget(mark.site)
        fetching.log.record(mark)
        for entry in fetching.flights.struck(mark):
            fetching.flights.leave(entry)
        self._on_mark(mark)

    def _spelled(self, key: str) -> str:
        """`key` as the site that it belongs to spells it."""
        rules = self._sites(host_name(key.partition("/")[0]))
        return key if rules is None else spelled(key, rules.key.query)

    def _site_named(self, value: str) -> str:
        """The site that `value`, a name or a host, means."""
        if self._store.knows_site(value):
            return value
        rules = self._sites(host_name(value.lower()))
        return value if rules is None else rules.name
