"""Control's tests run on both databases: what takes `database_url` is run twice, on real ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from control.db.database import sqlite_url
from tests.support.postgres import postgres


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A new database on a real PostgreSQL."""
    server = postgres()
    name = server.database()
    yield server.url(name)
    server.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new database of each kind in turn."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "control.db")
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def database_setting(database_url: str) -> str:
    """What control is told: nothing, or a PostgreSQL's URL."""
    return "" if database_url.startswith("sqlite") else database_url
