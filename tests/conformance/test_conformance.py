"""Cases written from the RFCs as data (`player` says how), played over real sockets: visitor, edge, origin.

`sentences.toml` lists what the RFCs ask of caches, and which cases and tests show it.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import uvloop

from tests.conformance.player import Case, Scripts, Stage, sites
from tests.edge.nodes import node
from tests.edge.wires import origin

HERE = Path(__file__).parent
CASES: list[Case] = [
    case
    for path in sorted((HERE / "cases").glob("*.toml"))
    for case in tomllib.loads(path.read_text())["case"]
]


def pytest_asyncio_loop_factories(config: object, item: object) -> dict[str, Any]:
    return {"uvloop": uvloop.new_event_loop}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    scripts = Scripts()
    async with origin(scripts) as behind, node(behind.url, sites=sites(behind.url)) as edge:
        yield Stage(edge, scripts)


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
@pytest.mark.asyncio(loop_scope="module")
async def test_the_edge_keeps_to_the_rfc(case: Case, stage: Stage) -> None:
    await stage.play(case)


def test_every_case_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(case["id"] for case in CASES).items() if count > 1] == []
