"""What a node loads before its first hit: a restart is nearly all imports, in each of its processes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.edge.crews import crew
from tests.edge.nodes import document
from tests.edge.wires import origin, says

WORKERS = 2
# Rooms and libraries of other processes, and what only some nodes need.
NOT_A_NODES = {
    "aiocache", "alembic", "jinja2", "nats", "origin", "redis", "sqlalchemy",
    "control.api", "control.app", "control.dashboard", "control.db", "control.plane", "control.up",
    "geo.dataset", "geo.dns", "geo.update",
}  # fmt: skip


def imported(said: str) -> list[str]:
    """Every module that any process of the node imported, as Python tells it."""
    return re.findall(r"^import time: +\d+ \| +\d+ \| +([\w.]+)$", said, re.MULTILINE)


@pytest.mark.xdist_group("workers")
async def test_a_serving_node_loads_nothing_of_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    async with (
        origin(says(b"page", "200 OK", "Cache-Control: max-age=60")) as shop,
        crew(tmp_path, document(shop.url, workers=WORKERS)) as node,
    ):
        for _ in range(2):
            assert (await node.get("/p")).status == 200
        assert (await node.metrics())["tepi_edge_requests_total"] == 2
        modules = imported(node.said())
    assert modules.count("edge.pipeline") == 1 + WORKERS  # of all processes, that is
    foreign = {name for name in modules if any(f"{name}.".startswith(f"{each}.") for each in NOT_A_NODES)}
    assert foreign == set()
