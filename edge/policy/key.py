"""The cache key (RFC 9111 §2): the target URI in a normal spelling. Pure."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from edge.http.message import Request

# Host and target come first, so that both schemes of a resource lie side by side in an ordered index.
_BETWEEN = "\x00"
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DEFAULT_PORTS = {"http": 80, "https": 443}


def key_of(request: Request) -> str:
    """The primary key of `request`. The method is not part of it: GET and HEAD share entries."""
    path = request.path if "%" not in request.path else normal_escapes(request.path)
    query = request.query
    if query is None:
        return f"{request.host}{path}\x00{request.scheme}"
    return f"{request.host}{path}?{normal_escapes(query) if '%' in query else query}\x00{request.scheme}"


def url_of(key: str) -> str:
    """The URL that a key stands for."""
    located, _, scheme = key.partition(_BETWEEN)
    return f"{scheme}://{located}"


def origin_of(key: str) -> str:
    """The origin of what a key stands for: scheme, host and port (RFC 9110 §4.3.1)."""
    place, _, scheme = key.partition(_BETWEEN)
    return f"{scheme}://{place.partition('/')[0]}"


def host_name(host: str) -> str:
    """`host` less its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host


def normal_escapes(text: str) -> str:
    """Escapes in capitals, and unreserved characters unescaped (RFC 3986 §6.2.2)."""

    def spell(match: re.Match[str]) -> str:
        character = chr(int(match.group(1), 16))
        return character if character in _UNRESERVED else match.group(0).upper()

    return _PERCENT.sub(spell, text)


def located(url: str) -> str | None:
    """Host and target of an absolute http(s) URL as keys spell them, or None if it is not one."""
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        return None
    rest = rest.partition("#")[0]
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    authority, target = rest[:end].rpartition("@")[2].lower(), rest[end:]
    authority = authority.removesuffix(f":{_DEFAULT_PORTS[scheme]}")
    if not authority:
        return None
    return authority + normal_escapes(target if target.startswith("/") else f"/{target}")


def keys_of(url: str) -> tuple[str, ...]:
    """The keys of `url` under both schemes; empty if it is no absolute http(s) URL."""
    place = located(url)
    return () if place is None else tuple(f"{place}{_BETWEEN}{scheme}" for scheme in _DEFAULT_PORTS)


def same_origin_key(request: Request, reference: str) -> str | None:
    """The key of `reference`, resolved against `request`, if it is of the same origin (RFC 9111 §4.4)."""
    try:
        absolute = urljoin(request.url, reference)
        scheme = urlsplit(absolute).scheme
    except ValueError:
        return None
    place = located(absolute)
    if place is None or scheme != request.scheme or not place.startswith(f"{request.host}/"):
        return None
    return f"{place}{_BETWEEN}{scheme}"
