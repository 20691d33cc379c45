"""Between an entry in memory and what of it lies on disk."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge.policy.entry import Entry
from edge.store.content import Stored
from edge.store.eviction import Slot
from edge.store.lent import Lent
from edge.store.opened import content_of
from edge.store.parts import Parts
from edge.store.record import template_bytes
from edge.store.shelf import TEMPLATE, WHOLE, Shelf
from edge.transform.template import Template

SHELF_OVERHEAD = 900  # bytes in memory, of knowing where an entry lies


@dataclass(frozen=True, slots=True)
class Loaded:
    """Bodies as they were read, or, large ones, checked to be read."""

    whole: bytes | Lent | None
    template: Template | None
    encoded: dict[str, bytes]


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
    elif isinstance(content.identity, bytes):
        data[WHOLE] = content.identity
    return data


def fill_in(content: Stored, loaded: Loaded) -> None:
    """Bring to hand what was read."""
    content.identity, content.template = loaded.whole, loaded.template
    for coding, data in loaded.encoded.items():
        content.encoded.setdefault(coding, data)
