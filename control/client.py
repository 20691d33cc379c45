"""Control's API as the operator's verbs use it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import click

SECONDS = 20.0


class ApiRefused(click.ClickException):
    """Control answered with a problem document: one line for each field."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        lines = [str(document.get("detail") or f"control answered {status}")]
        lines += [
            f"  {error['field'] or 'document'}: got {error['got']}, expected {error['expected']}"
            for error in document.get("errors", ())
        ]
        super().__init__("\n".join(lines))
        self.status = status


class Api:
    """Calls one server."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        seconds: float = SECONDS,
        headers: dict[str, str] | None = None,
    ) -> Any:
        """The answer's document. Raises ClickException, with what control said of each field."""
        url = self._base.rstrip("/") + path
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.request(
                method, url, json=body, timeout=timeout, headers=headers
            ) as response:
                text = await response.text()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise click.ClickException(f"{url} can't be reached: {reason}") from error
        try:
            document = json.loads(text) if text else {}
        except ValueError:
            document = text
        if response.status >= 400:
            raise ApiRefused(response.status, document if isinstance(document, dict) else {})
        if isinstance(document, str):
            raise click.ClickException(f"{url} is no API of Tepi: it answered {document[:80]!r}")
        return document


@asynccontextmanager
async def connected(base: str, token: str | None) -> AsyncIterator[Api]:
    """An Api at `base`; with `token`, as its bearer."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(headers=headers) as session:
        yield Api(session, base)


def call(base: str, token: str | None, method: str, path: str, body: Any = None) -> Any:
    """One call of the API, from synchronous code."""

    async def once() -> Any:
        async with connected(base, token) as api:
            return await api.call(method, path, body)

    return asyncio.run(once())
