"""A fleet in this process: whole nodes with certificates, who know each other, before one scripted origin."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from edge.__main__ import running
from edge.config import parse_edge
from tests.edge.certificates import Authority
from tests.edge.nodes import Edge, document
from tests.edge.wires import free_port


@contextlib.asynccontextmanager
async def fleet(
    origin_url: str, directory: Path, pops: Mapping[str, int], *, shield: str | None = None, **changes: Any
) -> AsyncIterator[dict[str, Edge]]:
    """Nodes called `pop-1`, `pop-2`, ...: as many in each PoP as `pops` says."""
    of_site = changes.pop("site", {})
    authority = Authority.make(directory)
    names = {f"{pop}-{number}": pop for pop, count in pops.items() for number in range(1, count + 1)}
    ports = {name: await free_port() for name in names}
    async with contextlib.AsyncExitStack() as stack:
        nodes = {}
        for name, pop in names.items():
            pair = authority.issue(name, name)
            tiers = {
                "pop": pop,
                "listen": f"127.0.0.1:{ports[name]}",
                "certificate": str(pair.cert),
                "key": str(pair.key),
                "authority": str(authority.file),
                "connect": 30.0,
                "patience": 30.0,
                "peers": [
                    {"name": other, "pop": names[other], "address": f"127.0.0.1:{ports[other]}"}
                    for other in names
                    if other != name
                ],
            }
            site = ({"shield": shield} if shield else {}) | of_site
            written = document(origin_url, name=name, tiers=tiers, site=site, **changes)
            nodes[name] = Edge(await stack.enter_async_context(running(parse_edge(written))))
        yield nodes
