"""Early hints (RFC 8297): what a browser may fetch while the origin is asked about a stored answer. Pure."""

from __future__ import annotations

from edge.http.links import links
from edge.http.message import NO_FIELDS, Fields, Request
from edge.policy.entry import Entry
from edge.policy.reasons import RevalidateReason
from edge.policy.rules import SiteRules

HINTS = frozenset({"preload", "modulepreload", "preconnect"})
MOST = 32  # links
LONGEST = 4096  # characters of them all


def early_hints(request: Request, entry: Entry, reason: RevalidateReason, rules: SiteRules) -> bool:
    """Whether `request`, which waits for `reason`, gets the links of `entry` ahead of its answer.

    Only a browser that opens a page asks for them, by Sec-Fetch-Mode; those that send it are known to read
    interim answers, which other clients of HTTP/1.1 may take for the final one (§3). What a purge has struck,
    if only softly, is not to be hinted at.
    """
    return (
        rules.early_hints
        and reason is not RevalidateReason.DISTRUSTED
        and entry.freshness.expired is None
        and entry.status == 200
        and request.method == "GET"
        and request.version != "1.0"
        and request.fields.get("sec-fetch-mode") == "navigate"
        and "link" in entry.fields
    )


def hinted(fields: Fields) -> Fields:
    """The links among `fields` that a browser may follow before it knows the answer, a line each."""
    kept: list[tuple[str, str]] = []
    room = LONGEST
    for line in fields.all("link"):
        for link in links(line):
            hint = bool(link.relations) and HINTS.issuperset(link.relations) and not link.anchored
            if not hint or len(kept) == MOST or len(link.text) > room:
                continue
            kept.append(("Link", link.text))
            room -= len(link.text)
    return Fields(kept) if kept else NO_FIELDS
