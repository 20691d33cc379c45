"""Query strings, as forms write them."""

from __future__ import annotations

from urllib.parse import unquote


def parameter_names(query: str) -> list[str]:
    """The decoded names of a query's parameters, in order."""
    return [unquote(part.partition("=")[0].replace("+", " ")) for part in query.split("&") if part]
