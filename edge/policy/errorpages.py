"""Which page stands in for an error, and in which form a page is said. Pure."""

from __future__ import annotations

from urllib.parse import unquote

from edge.http.message import Fields, Request
from edge.http.negotiation import preferences
from edge.policy.traffic import ErrorPage, Page, TrafficRules

HTML = "text/html; charset=utf-8"
JSON = "application/json"
_DOCUMENTS = frozenset({"document", "iframe", "frame", "object", "embed"})
# What an error keeps of its own under another page (RFC 9110 §10.2, §11.6.1).
KEPT = frozenset({"allow", "date", "retry-after", "set-cookie", "www-authenticate"})


def standin(request: Request, status: int, fields: Fields, rules: TrafficRules) -> ErrorPage | None:
    """The page that stands in for an error with `status` and `fields`; the first rule that fits holds."""
    if status < 400 or request.method not in ("GET", "HEAD"):
        return None
    path = unquote(request.path)
    for rule in rules.error_pages:
        if status not in rule.statuses or (rule.paths is not None and not rule.paths.fits(path)):
            continue
        if rule.audience == "all" or (is_reading(request.fields) and not _is_json(fields)):
            return rule
    return None


def is_reading(fields: Fields) -> bool:
    """Whether a browser wants a page to show, rather than a script some data."""
    destination = fields.get("sec-fetch-dest")
    if destination is not None:
        return destination.strip().lower() in _DOCUMENTS
    return _quality(fields, "text/html") > 0


def written(page: Page, fields: Fields) -> tuple[str, bytes] | None:
    """Content-Type and body of what `page` says to a client with `fields`; None: it has no texts."""
    if page.html is None or (page.json is not None and _prefers_json(fields)):
        return None if page.json is None else (JSON, page.json)
    return HTML, page.html


def _prefers_json(fields: Fields) -> bool:
    wanted = max(_quality(fields, JSON), _quality(fields, "application/problem+json"))
    return wanted > _quality(fields, "text/html")


def _quality(fields: Fields, media_type: str) -> float:
    """How much `media_type` is wanted by its own name: `*/*` is said by everybody."""
    said = fields.get("accept")
    found = () if said is None else preferences(said)
    return next((quality for name, quality in found if name == media_type), 0.0)


def _is_json(fields: Fields) -> bool:
    media_type = (fields.get("content-type") or "").partition(";")[0].strip().lower()
    return media_type == JSON or media_type.endswith("+json")
