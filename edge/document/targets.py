"""How an operator writes where a rule leads: `https://www.shop.example/new/$1?from=$path`."""

from __future__ import annotations

import re
from urllib.parse import quote

from edge.document.notation import parse_host
from edge.policy.paths import PathPattern
from edge.policy.traffic import Target
from edge.policy.wording import OF_THE_URL, Wording, wording

_TARGET = re.compile(
    r"(?:(?P<scheme>https?)://(?P<authority>\$host(?::[0-9]{1,5})?|[^/?#$@\\]+))?"
    r"(?P<path>(?:/|\$path)[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?"
)
_KNOWN = OF_THE_URL | {"path"}  # a rewrite may depend on nothing else: it is in the key
_SAFE = "/%:@!$&'()*+,;=-._~{}"  # braces are those of variables


def redirect_target(text: str, pattern: PathPattern) -> Target:
    """Reads where a redirect leads. Raises ValueError."""
    found = _TARGET.fullmatch(text)
    path = None if found is None else found["path"] or ("/" if found["scheme"] else None)
    if found is None or path is None or path.startswith("//") or not _is_printable(text):
        raise ValueError(
            "a path like /new/$1, or a URL like https://www.shop.example$path, its host written out or $host"
        )
    known = pattern.names | _KNOWN
    return Target(
        path=wording(quote(path, safe=_SAFE), known),
        scheme=found["scheme"] or "",
        authority=_authority(found["authority"]),
        query=_query(found["query"], known),
        fragment=quote(found["fragment"] or "", safe=_SAFE),
    )


def rewrite_target(text: str, pattern: PathPattern) -> tuple[Wording, Wording | None]:
    """Reads what the origin is asked for: path, and query if it has one. Raises ValueError."""
    found = _TARGET.fullmatch(text)
    if (
        found is None
        or found["path"] is None
        or found["scheme"] is not None
        or found["fragment"] is not None
        or not _is_printable(text)
    ):
        raise ValueError("a path like /new/$1 or /index.php?route=$1, without host and fragment")
    known = pattern.names | _KNOWN
    return wording(quote(found["path"], safe=_SAFE), known), _query(found["query"], known)


def _query(text: str | None, known: frozenset[str]) -> Wording | None:
    return None if text is None else wording(quote(text, safe=_SAFE + "?"), known)


def _authority(text: str | None) -> str:
    if text is None:
        return ""
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        host, port = text, ""
    elif not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError("a port from 1 to 65535")
    name = host if host == "$host" else parse_host(host)
    if "*" in name:
        raise ValueError("a URL whose host is written out, or $host")
    return f"{name}:{port}" if port else name


def _is_printable(text: str) -> bool:
    """Whether nothing in `text` can break out of a line, or be read as a slash."""
    return all(sign > " " and sign != "\x7f" and sign not in '\\"<>^`|' for sign in text)
