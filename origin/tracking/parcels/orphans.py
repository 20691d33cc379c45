"""Carriers' webhooks that no parcel could be given: kept until one is expected, or a person has read them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Column, Float, MetaData, String, Table, Text, case, delete, func, insert, select

from origin.contract import Host, Statements
from origin.tracking.parcels.scans import WORDS, Scan, read_news

metadata = MetaData()

orphans = Table(
    "tracking_orphans",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("carrier", String(32), nullable=False),
    Column("code", String(120), nullable=False),  # the carrier's; empty where it can't be read
    Column("problem", Text, nullable=False),  # why it can't be read; empty where nobody expects the parcel
    Column("document", Text, nullable=False),
    Column("came_at", Float, nullable=False),
)


@dataclass(slots=True)
class Orphans:
    """What carriers said of parcels that nobody expects, and what can't be read."""

    host: Host
    _counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    async def keep(
        self,
        connection: Statements,
        carrier: str,
        document: Mapping[str, Any],
        *,
        code: str = "",
        problem: str = "",
    ) -> None:
        """Keeps a document as it came, in the caller's transaction."""
        row = {
            "id": secrets.token_hex(16),
            "carrier": carrier,
            "code": code,
            "problem": problem.encode("utf-8", "replace").decode().replace("\0", ""),
            "document": json.dumps(document),
            "came_at": self.host.now(),
        }
        await connection.execute(insert(orphans).values(row))

    async def claim(self, connection: Statements, carrier: str, code: str) -> list[Scan]:
        """All scans that wait for this parcel; they wait no longer."""
        waiting = (orphans.c.carrier == carrier, orphans.c.code == code)
        found = await connection.execute(select(orphans.c.document).where(*waiting))
        news = [read_news(carrier, json.loads(document)) for document in found.scalars()]
        await connection.execute(delete(orphans).where(*waiting))
        return [scan for one in news if one is not None for scan in one.scans]

    async def listed(self, most: int) -> list[dict[str, Any]]:
        """The newest, with their documents."""
        asked = select(orphans).order_by(orphans.c.came_at.desc(), orphans.c.id).limit(most)
        async with self.host.read() as connection:
            found = await connection.execute(asked)
        return [
            {
                "carrier": row.carrier,
                "code": row.code,
                "problem": row.problem,
                "came": datetime.fromtimestamp(row.came_at, UTC).isoformat(),
                "document": json.loads(row.document),
            }
            for row in found
        ]

    async def count(self) -> None:
        """Reads anew how many there are."""
        unreadable = func.sum(case((orphans.c.problem == "", 0), else_=1))
        asked = select(orphans.c.carrier, func.count(), unreadable).group_by(orphans.c.carrier)
        async with self.host.read() as connection:
            found = await connection.execute(asked)
        self._counts = {carrier: (every - int(bad), int(bad)) for carrier, every, bad in found}

    def metrics(self) -> Iterable[Metric]:
        """By carrier and reason, as they were counted last."""
        gauge = GaugeMetricFamily(
            "tepi_origin_tracking_orphans",
            "Webhooks of carriers that no parcel could be given.",
            labels=["carrier", "reason"],
        )
        for carrier in WORDS:
            unexpected, unreadable = self._counts.get(carrier, (0, 0))
            gauge.add_metric([carrier, "unexpected"], unexpected)
            gauge.add_metric([carrier, "unreadable"], unreadable)
        yield gauge
