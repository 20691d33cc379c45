"""Errors as problem documents (RFC 9457), with the path of each field that was wrong."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from aiohttp import web

from edge.document.problems import Problem


def problem(
    status: int, detail: str, problems: Iterable[Problem] = (), headers: dict[str, str] | None = None
) -> web.Response:
    """A refusal. `problems` name field, value and what would be accepted."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    errors = [{"field": one.field, "got": one.got, "expected": one.expected} for one in problems]
    if errors:
        body["errors"] = errors
    return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")
