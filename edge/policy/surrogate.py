"""What an origin says to surrogates (W3C's Edge Architecture): ESI, and a lifetime of their own. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote as percent_decoded

from edge.http.cache_control import delta_seconds, parse_response
from edge.http.lists import members, unquote
from edge.http.message import Fields, Line
from edge.policy.freshness import SURROGATE
from edge.policy.rules import EsiRules

DEVICE = "tepi"  # the token by which origins may address us alone
ESI = "ESI/1.0"
CAPABLE: Line = ("Surrogate-Capability", f'{DEVICE}="{ESI}"')
_DIRECTIVE = re.compile(r'([\w-]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;"]*))?(?:\s*;\s*([\w.-]+))?')
_BODILESS = frozenset({204, 205, 206, 304})  # of these no page can be made


def directives(fields: Fields) -> dict[str, str]:
    """Surrogate-Control's directives and their arguments; what is addressed to us comes before all others."""
    common: dict[str, str] = {}
    ours: dict[str, str] = {}
    for member in members(fields.get("surrogate-control") or ""):
        match = _DIRECTIVE.fullmatch(member)
        if match is None:
            continue
        name, argument, device = match.groups()
        if device is None or device == DEVICE:
            (common if device is None else ours).setdefault(name.lower(), unquote(argument or ""))
    return {**common, **ours}


def obeyed(fields: Fields) -> Fields:
    """`fields` with what Surrogate-Control says of storing in the field that policy reads (`governing`).

    `max-age=60+10` means 60 s of freshness and 10 s more while it is refreshed. We are remote.
    """
    if SURROGATE not in fields and "surrogate-control" not in fields:
        return fields
    given = directives(fields)
    words = ["no-store"] if "no-store" in given or "no-store-remote" in given else []
    fresh, _, more = given.get("max-age", "").partition("+")
    seconds, stale = delta_seconds(fresh.strip()), delta_seconds(more.strip())
    if seconds is not None and not words:
        words.append(f"max-age={seconds}")
        if stale is not None:
            words.append(f"stale-while-revalidate={stale}")
    return fields.replaced("Tepi-Surrogate-Control", ", ".join(words))


def esi_because(rules: EsiRules, path: str, status: int, fields: Fields) -> str | None:
    """Who wants ESI done in an answer for `path`: its Surrogate-Control, or the site's rule. None: nobody."""
    if status < 200 or status in _BODILESS:
        return None
    return wanted_by(rules, path, fields)


def wanted_by(rules: EsiRules, path: str, fields: Fields) -> str | None:
    """As `esi_because`, whatever the status. What is encoded cannot be read."""
    if (fields.get("content-encoding") or "identity").strip().lower() != "identity":
        return None
    if ESI in directives(fields).get("content", "").split():
        return "surrogate-control"
    if parse_response(fields.get("cache-control") or "").no_transform:  # RFC 9111 §5.2.2.6
        return None
    media_type = (fields.get("content-type") or "").partition(";")[0].strip().lower()
    if rules.types.fits(media_type) and rules.paths.fits(percent_decoded(path)):
        return "rule"
    return None
