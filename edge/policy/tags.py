"""The names by which an answer can be purged. Pure."""

from __future__ import annotations

from edge.http.message import Fields

# Each platform has its own field for the same thing; no visitor sees any of them.
TAG_FIELDS = ("cache-tag", "surrogate-key", "xkey", "x-magento-tags")
# CDN-Cache-Control stays: it speaks to every CDN on the way, and another may stand before us (RFC 9213 §3.1).
HIDDEN_FIELDS = frozenset({*TAG_FIELDS, "surrogate-control", "tepi-cache-control", "tepi-surrogate-control"})
_SEPARATORS = {ord(each): " " for each in ",\t\n\r\v\f"}  # bytes beyond ASCII are parts of letters


def tags_of(fields: Fields) -> tuple[str, ...]:
    """The tags that an answer bears, each once, in order: separated by commas, white space or both."""
    found: dict[str, None] = {}
    for name in TAG_FIELDS:
        value = fields.get(name)
        if value is not None:
            found.update(dict.fromkeys(filter(None, value.translate(_SEPARATORS).split(" "))))
    return tuple(found)
