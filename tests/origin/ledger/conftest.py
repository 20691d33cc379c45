"""Each test runs on both engines, unless it asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.origin.ledger.books import ENGINES, Books, database_url, open_books


@pytest.fixture(params=ENGINES)
async def books(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Books]:
    with database_url(request.param) as url:
        async with open_books(tmp_path, url) as found:
            yield found
