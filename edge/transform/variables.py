"""What a page's variables stand for (ESI 1.0 §4): a safe set, always escaped."""

from __future__ import annotations

import re
from html import escape
from urllib.parse import quote, unquote_to_bytes

from edge.http.cookies import cookies
from edge.http.message import Request
from edge.http.negotiation import preferences
from edge.policy.patterns import Patterns
from edge.transform.template import Reference, Variable

_CONTROLS = re.compile("[\x00-\x1f\x7f]")
_AGENT_VERSION = re.compile(r"^\w+/([\d.]+)")
_SYSTEMS = (("Windows", "WIN"), ("Mac OS", "MAC"), ("Linux", "UNIX"), ("X11", "UNIX"))


def in_text(variable: Variable, request: Request, shown: Patterns) -> bytes:
    """The value as HTML text or a quoted attribute: ASCII, whatever the page's charset. `shown`: cookies.

    The default is its author's own text, and stays as it is.
    """
    value = _CONTROLS.sub("", value_of(variable, request, shown))
    return escape(value).encode("ascii", "xmlcharrefreplace") if value else variable.default


def in_reference(reference: Reference, request: Request, shown: Patterns) -> str:
    """`reference` with its variables filled in, percent-encoded so that none adds a part of its own."""
    made = []
    for part in reference:
        if isinstance(part, bytes):
            made.append(part.decode("latin-1"))
            continue
        value = value_of(part, request, shown)
        safe = ":[]" if part.name == "HTTP_HOST" else ""
        made.append(quote(value, safe=safe) if value else part.default.decode("latin-1"))
    return "".join(made)


def value_of(variable: Variable, request: Request, shown: Patterns) -> str:
    """What `request` says; empty where it says nothing, or nobody may know."""
    key = variable.key
    match variable.name:
        case "HTTP_HOST":
            return request.host
        case "GEO_COUNTRY":
            return request.client.country or ""
        case "HTTP_COOKIE":
            return "" if key is None or not shown.fits(key) else _text(_cookie(key, request))
        case "QUERY_STRING":
            query = request.query or ""
            return _text(query.encode("latin-1") if key is None else _parameter(key, query))
        case "HTTP_ACCEPT_LANGUAGE":
            return _language(key, request.fields.get("accept-language") or "")
        case "HTTP_USER_AGENT":
            return _agent(key, request.fields.get("user-agent") or "")
        case _:
            return ""


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _cookie(key: str, request: Request) -> bytes:
    for name, value in cookies(request.fields):
        if name == key:
            return value.strip('"').encode("latin-1")
    return b""


def _parameter(key: str, query: str) -> bytes:
    wanted = key.encode("utf-8")
    for part in query.encode("latin-1").replace(b"+", b" ").split(b"&"):
        name, _, value = part.partition(b"=")
        if unquote_to_bytes(name) == wanted:
            return unquote_to_bytes(value)
    return b""


def _language(key: str | None, value: str) -> str:
    """Whether the language `key` is among those wanted; without a key all of them, as they came."""
    if key is None:
        return _text(value.encode("latin-1"))
    wanted = any(name == key.lower() and quality > 0 for name, quality in preferences(value))
    return "true" if wanted else "false"


def _agent(key: str | None, value: str) -> str:
    """`browser`, `os` or `version`, in the few words that ESI knows."""
    match key:
        case "browser":
            return (
                "MSIE"
                if "MSIE" in value or "Trident/" in value
                else ("MOZILLA" if value.startswith("Mozilla/") else "OTHER")
            )
        case "os":
            return next((name for sign, name in _SYSTEMS if sign in value), "OTHER")
        case "version":
            found = _AGENT_VERSION.match(value)
            return "" if found is None else found.group(1)
        case _:
            return ""
