"""Asking a provider over HTTP, and what each kind of silence means for the money."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp

from origin.checkout.providers.contract import Declined, Unanswered, Unavailable

SECONDS = 15.0
TIMEOUT = aiohttp.ClientTimeout(total=SECONDS, sock_connect=5.0)
LARGEST = 1024 * 1024
REFUSED = (429, 503)  # said before anything was done


async def ask(
    http: aiohttp.ClientSession,
    method: str,
    url: str,
    fields: Mapping[str, str],
    body: bytes | None = None,
    *,
    missing_is_none: bool = False,
) -> dict[str, Any] | None:
    """The provider's JSON object; None for 404 where that is an answer.

    Raises Unavailable: it was not reached, or said that it did nothing. Unanswered: anything may have
    happened. Declined: it understood and will not.
    """
    try:
        async with http.request(
            method, url, headers=dict(fields), data=body, timeout=TIMEOUT, allow_redirects=False
        ) as response:
            text = await response.content.read(LARGEST)
            status = response.status
    except aiohttp.ClientConnectorError as error:
        raise Unavailable(f"it can't be reached: {error.os_error.strerror or error}") from error
    except (aiohttp.ClientError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise Unanswered(f"no answer: {type(error).__name__}") from error
    if status == 404 and missing_is_none:
        return None
    if status in REFUSED:
        raise Unavailable(f"it answered {status}")
    if status >= 500 or 300 <= status < 400:
        raise Unanswered(f"it answered {status}")
    document = document_of(text)
    if status >= 400:
        raise Declined(f"{status}: {text[:300].decode('utf-8', 'replace')}")
    return document


def document_of(text: bytes) -> dict[str, Any]:
    """The JSON object in an answer. Raises Unanswered: whatever it was, it can't be read."""
    try:
        document = json.loads(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Unanswered("its answer is no JSON object")
    return document
