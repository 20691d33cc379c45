"""The course of a request by its site's rules: maintenance, redirects, rewrites. Pure.

Precedence: maintenance; redirects, the first that fits and leads elsewhere; then key and class by the visible
URL; then, where the origin is asked, rewrites, the first that fits, and the origin by the path that it made.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import unquote

from edge.http.cookies import cookies
from edge.http.message import Request
from edge.policy.alterations import request_rules
from edge.policy.key import normal_escapes
from edge.policy.paths import has_dot_segments
from edge.policy.redirects import Circle, Redirect, redirected
from edge.policy.rewrites import Escape, Rewritten, rewritten
from edge.policy.traffic import Maintenance, TrafficRules

_CHALLENGES = "/.well-known/acme-challenge/"  # RFC 8555 §8.3: who issues certificates must be answered


@dataclass(frozen=True, slots=True)
class Closed:
    """The site is closed to this visitor."""

    rule: Maintenance


@dataclass(frozen=True, slots=True)
class Onward:
    """On to the cache. `opened`: why, though the site is closed; `circle`: a redirect that was not made.

    `altered` tells whether the origin is told other fields, `inner` what else it is asked for.
    """

    opened: str | None = None
    circle: Circle | None = None
    altered: bool = False
    inner: Rewritten | None = None


Course = Closed | Redirect | Escape | Onward


def course(request: Request, rules: TrafficRules) -> Course:
    """What becomes of `request`."""
    spared = is_spared(request.path, rules)
    opened = None
    if rules.maintenance is not None and rules.maintenance.enabled:
        opened = open_to(request, rules.maintenance, spared=spared)
        if opened is None:
            return Closed(rules.maintenance)
    sent = None if spared or not rules.redirects else redirected(request, rules)
    if isinstance(sent, Redirect):
        return sent
    inner = rewritten(request, rules)
    if isinstance(inner, Escape):
        return inner
    return Onward(opened, sent, bool(request_rules(request, rules)), inner)


def is_spared(path: str, rules: TrafficRules) -> bool:
    """Whether `path` is neither closed nor sent elsewhere, whatever the rules say: machines come there."""
    spared = (_CHALLENGES,) if rules.commerce is None else (_CHALLENGES, f"{rules.commerce}/hooks/")
    return normal_escapes(path).startswith(spared) and not has_dot_segments(path)


def open_to(request: Request, rule: Maintenance, *, spared: bool = False) -> str | None:
    """Why `request` is let in while the site is closed, or None."""
    if spared:
        return "machines are answered at this path"
    if rule.open_paths.fits(unquote(request.path)) and not has_dot_segments(request.path):
        return "the path is open"
    if rule.networks and (network := _network_of(request.client.address, rule)) is not None:
        return f"address {request.client.address} is in {network}"
    if rule.cookie and any(
        name == rule.cookie
        and hmac.compare_digest(sha256(value.encode("latin-1", "replace")).hexdigest(), rule.cookie_sha256)
        for name, value in cookies(request.fields)
    ):
        return f"cookie {rule.cookie}"
    return None


def _network_of(address: str, rule: Maintenance) -> str | None:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return next((str(one) for one in rule.networks if one.version == parsed.version and parsed in one), None)
