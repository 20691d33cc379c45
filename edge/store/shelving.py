"""Between an entry in memory and what of it lies on disk."""

from __future__ import annotations

from dataclasses import replace

from edge.policy.entry import Entry
from edge.store.content import Stored
from edge.store.disk import Loaded
from edge.store.eviction import Slot
from edge.store.opened import content_of
from edge.store.parts import Parts
from edge.store.record import template_bytes
from edge.store.shelf import TEMPLATE, WHOLE, Shelf
from edge.transform.template import Template

SHELF_OVERHEAD = 900  # bytes in memory, of knowing where an entry lies


def shelf_of(entry: Entry) -> Shelf | None:
    """Where `entry` lies on disk, if it does."""
    content = entry.content
    assert isinstance(content, Stored | Parts)
    return content.shelf


def shelf_at(slot: Slot) -> Shelf | None:
    """Where the entry at `slot` lies on disk, if it does."""
    content = content_of(slot)
    return content.shelf if isinstance(content, Stored | Parts) else None


def softened(entry: Entry, moment: float) -> Entry:
    """`entry`, stale from `moment` (monotonic) on."""
    return replace(entry, freshness=entry.freshness.expired_at(moment))


def bodies_at_hand(content: Stored | Parts) -> dict[str, bytes]:
    """The bodies of `content` that are in memory, by the names that they have on disk."""
    if isinstance(content, Parts):
        return {}
    data = dict(content.encoded)
    if isinstance(content.template, Template):
        data[TEMPLATE] = template_bytes(content.template)
    elif content.identity is not None:
        data[WHOLE] = content.identity
    return data


def fill_in(content: Stored, loaded: Loaded) -> None:
    """Bring to hand what was read."""
    content.identity, content.template = loaded.whole, loaded.template
    for coding, data in loaded.encoded.items():
        content.encoded.setdefault(coding, data)
