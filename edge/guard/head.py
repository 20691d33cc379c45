"""What a request's head must be before anything is forwarded (RFC 9110, RFC 9112). Pure.

The parser has accepted it by now; here stands what parsers let pass and proxies must not.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from edge.guard.refusal import Refusal
from edge.http.message import Fields

# Narrower than RFC 3986's reg-name: no name in use has its other characters, and they end lists elsewhere.
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]*|\[[0-9A-Fa-f:.]+\])(?::\d{0,5})?")
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_FRAMING = frozenset({"content-length", "transfer-encoding"})
_ORDINARY = frozenset({"GET", "HEAD", "POST"})
# Their answers are framed, or made, unlike others': an origin that reads `Head` as HEAD must not be asked.
_FRAMED_OTHERWISE = frozenset({"CONNECT", "HEAD", "TRACE"})


class Target(NamedTuple):
    """Where a request goes: host in lower case without a default port, and the raw target's halves."""

    host: str
    path: str
    query: str | None


def framing(version: str, fields: Fields) -> Refusal | None:
    """Why the body's length can't be trusted, if it can't (RFC 9112 §6.1, §6.3)."""
    if fields.names().isdisjoint(_FRAMING):
        return None
    lengths = fields.all("content-length")
    if "transfer-encoding" in fields:
        coding = (fields.get("transfer-encoding") or "").strip(" \t").lower()
        if version != "1.1":
            return _bad("Transfer-Encoding needs HTTP/1.1")
        if lengths:
            return _bad("Content-Length beside Transfer-Encoding")
        if coding != "chunked":
            if coding.endswith("chunked") and coding.count("chunked") == 1 and "," in coding:
                return Refusal(
                    501, "transfer-coding", "only the chunked transfer coding is known", close=True
                )
            return _bad("Transfer-Encoding must be chunked")
    if len(lengths) > 1 or (lengths and re.fullmatch(r"[0-9]{1,18}", lengths[0]) is None):
        return _bad("Content-Length must be one whole number")
    return None


def target(method: str, scheme: str, version: str, raw: str, fields: Fields) -> Target | Refusal:
    """Where the request goes (RFC 9112 §3.2, §3.3), or why that can't be told."""
    authority = fields.derived(_authority)
    if isinstance(authority, Refusal):
        return authority
    if not authority and version == "1.1" and "host" not in fields:
        return _ONE_HOST
    if method not in _ORDINARY and method.upper() in _FRAMED_OTHERWISE:
        return Refusal(405, "method", f"{method} is not for this server", close=True)
    if "#" in raw:
        return _bad("a request target has no fragment")
    if not raw.startswith("/"):
        absolute = _absolute(raw)
        if raw == "*" and method == "OPTIONS":
            raw = "*"
        elif absolute is None:
            return _bad("a request target begins with / or is an http URL")
        else:
            authority, raw = absolute
    path, mark, query = raw.partition("?")
    return Target(_host(authority, scheme), path, query if mark else None)


def _authority(fields: Fields) -> str | Refusal:
    """What Host says, empty where there is none; or why that can't be."""
    hosts = fields.all("host")
    if len(hosts) > 1:
        return _ONE_HOST
    authority = hosts[0] if hosts else ""
    if _HOST.fullmatch(authority) is None:
        return _bad("Host must be a host name or address, and a port")
    return authority


def _absolute(raw: str) -> tuple[str, str] | None:
    """Authority and target of an absolute-form (RFC 9112 §3.2.2); its authority overrides Host."""
    scheme, separator, rest = raw.partition("://")
    if not separator or scheme.lower() not in _DEFAULT_PORTS:
        return None
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    authority, tail = rest[:end], rest[end:]
    if not authority or _HOST.fullmatch(authority) is None:
        return None
    return authority, tail if tail.startswith("/") else f"/{tail}"


def _host(authority: str, scheme: str) -> str:
    host = authority.lower()
    name, colon, port = host.rpartition(":")
    if colon and not port.endswith("]") and port in ("", _DEFAULT_PORTS[scheme]):
        return name
    return host


def _bad(sentence: str) -> Refusal:
    return Refusal(400, "malformed", sentence, close=True)


_ONE_HOST = _bad("exactly one Host field is needed")
