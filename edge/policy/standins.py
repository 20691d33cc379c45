"""Stand-ins for form tokens that belong to a session which the visitor does not have yet. Pure.

A stand-in is bound to a secret in a cookie of the edge's own, and bears it under a mask that is new each
time, so that a page which echoes what it was asked does not give it away as it is compressed (BREACH). It is
made of small letters and digits alone, which no form, URL or script spells otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from urllib.parse import urlsplit

from edge.http.message import Fields, Line, Request
from edge.policy.patterns import Patterns

COOKIE = "tepi-form-"
HOST_PREFIX = "__Host-"  # RFC 6265bis §4.1.3.2: no subdomain and no plain connection can set it
COOKIES = Patterns((f"{COOKIE}*", f"{HOST_PREFIX}{COOKIE}*"))
SECRET = 16  # bytes, of the mask too
NAME = 4  # bytes of a secret's name
MOST_SECRETS = 16  # of one visitor: several where pages were asked for at once
LAST_ORDINAL = 255

_STAND_IN = re.compile(rb"tepi([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{2})([0-9a-f]{32})([0-9a-f]{32})")
_SECRET_VALUE = re.compile(r"[0-9a-f]{32}")
_SECRET_NAME = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True)
class Secret:
    """What binds a visitor's stand-ins to him. He may have several, told apart by name."""

    name: str
    value: bytes


@dataclass(frozen=True, slots=True)
class StandIn:
    """One stand-in as it came back. `claimed`: the secret that it bears, to be compared in constant time."""

    written: bytes
    secret: str  # its name
    rule: str  # as `rule_id` spells it
    ordinal: int
    claimed: bytes


class Provenance(Enum):
    """Where a request was made, as far as the browser tells."""

    HERE = "same-origin"
    ELSEWHERE = "cross-site"
    UNKNOWN = "unknown"


def make(secret: Secret, rule: str, ordinal: int, mask: bytes) -> bytes:
    """The stand-in for the `ordinal`-th token of the rule called `rule`; `mask` is random, SECRET bytes."""
    masked = _xor(secret.value, mask)
    place = f"{rule_id(rule)}{min(ordinal, LAST_ORDINAL):02x}"
    return f"tepi{secret.name}{place}{mask.hex()}{masked.hex()}".encode()


def stand_ins(data: bytes) -> tuple[StandIn, ...]:
    """The stand-ins in `data`, each once."""
    found: dict[bytes, StandIn] = {}
    for match in _STAND_IN.finditer(data):
        name, rule, ordinal, mask, masked = (part.decode("ascii") for part in match.groups())
        claimed = _xor(bytes.fromhex(mask), bytes.fromhex(masked))
        found[match[0]] = StandIn(match[0], name, rule, int(ordinal, 16), claimed)
    return tuple(found.values())


def rule_id(rule: str) -> str:
    """A rule's name, short."""
    return blake2b(rule.encode(), digest_size=2).hexdigest()


def secrets_of(cookies: Iterable[tuple[str, str]], *, secure: bool) -> dict[str, Secret]:
    """A visitor's secrets by name. Over TLS only those are his that nobody else can have set."""
    prefix = f"{HOST_PREFIX}{COOKIE}" if secure else COOKIE
    found: dict[str, Secret] = {}
    for cookie, value in cookies:
        name = cookie.removeprefix(prefix)
        if name != cookie and _SECRET_NAME.fullmatch(name) and _SECRET_VALUE.fullmatch(value):
            found.setdefault(name, Secret(name, bytes.fromhex(value)))
            if len(found) == MOST_SECRETS:
                break
    return found


def secret_of(random: bytes) -> Secret:
    """A new secret, made of SECRET + NAME random bytes."""
    return Secret(random[SECRET:].hex(), random[:SECRET])


def cookie_of(secret: Secret, *, secure: bool) -> Line:
    """The cookie that keeps a secret: no script sees it, no other site's form brings it along."""
    if secure:
        name, tail = f"{HOST_PREFIX}{COOKIE}{secret.name}", "; Secure"
    else:
        name, tail = f"{COOKIE}{secret.name}", ""
    return "Set-Cookie", f"{name}={secret.value.hex()}; Path=/; HttpOnly; SameSite=Lax{tail}"


def provenance(request: Request) -> Provenance:
    """Whether a request came from a page of its own host (Fetch Metadata; RFC 6454 §7; RFC 9110 §10.1.3).

    Only the first of these that speaks counts: a page may keep its name from Origin and Referer.
    """
    site = request.fields.get("sec-fetch-site")
    if site is not None:
        return Provenance.HERE if site.strip().lower() == "same-origin" else Provenance.ELSEWHERE
    origin = request.fields.get("origin")
    if origin is not None:
        return Provenance.HERE if _is_host(origin, request) else Provenance.ELSEWHERE
    referer = request.fields.get("referer")
    if referer is None:
        return Provenance.UNKNOWN
    return Provenance.HERE if _is_host(referer, request) else Provenance.ELSEWHERE


def page_before(request: Request) -> tuple[str, str | None] | None:
    """Path and query of the page that a request says it came from, if that is one of its own host."""
    referer = request.fields.get("referer")
    if referer is None or not _is_host(referer, request):
        return None
    return target_of(referer)


def target_of(url: str) -> tuple[str, str | None] | None:
    """Path and query of a URL, absolute or not, or None where they can't be sent."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    path = parts.path or "/"
    sendable = path.startswith("/") and all("!" <= character <= "~" for character in path + parts.query)
    return (path, parts.query if parts.query else None) if sendable else None


def _is_host(url: str, request: Request) -> bool:
    """Whether an absolute URL is of the request's host. The scheme may be another before the edge."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return False
    default = 443 if parts.scheme == "https" else 80
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return request.host in (name if port in (None, default) else None, f"{name}:{port or default}")


def without_secrets(fields: Fields) -> Fields:
    """A request's fields less what of its cookies is the edge's own, and means nothing to an origin."""
    if not any(COOKIE in line for line in fields.all("cookie")):
        return fields
    lines: list[Line] = []
    for name, value in fields.lines:
        if name.lower() == "cookie":
            value = "; ".join(
                pair for pair in map(str.strip, value.split(";")) if pair and not _is_ours(pair)
            )
            if not value:
                continue
        lines.append((name, value))
    return Fields(lines)


def _is_ours(pair: str) -> bool:
    name, _, value = pair.partition("=")
    return COOKIES.fits(name.strip()) or is_stand_in(value.strip())


def is_stand_in(value: str) -> bool:
    """Whether a cookie's value is one: where the token is a cookie itself."""
    return _STAND_IN.fullmatch(value.encode("latin-1", "replace")) is not None


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(mine ^ theirs for mine, theirs in zip(one, other, strict=True))
