"""An entry: a stored response with what is known of it."""

from __future__ import annotations

from typing import Protocol

from edge.http.cache_control import ResponseDirectives
from edge.http.etags import ETag
from edge.http.message import Fields
from edge.http.ranges import Part
from edge.http.values import dataclass
from edge.policy.freshness import Freshness
from edge.policy.vary import Selection
from edge.position import Position


class Content(Protocol):
    """An entry's body as policy sees it: how long it is, if that is known, and what of it is here."""

    @property
    def size(self) -> int | None:
        """Bytes of the body as the origin sent it; None while it is still arriving."""
        ...

    @property
    def partial(self) -> bool:
        """Whether only parts of it are here (RFC 9111 §3.3)."""
        ...

    @property
    def sliced(self) -> bool:
        """Whether its parts are fetched as they are read."""
        ...

    @property
    def completable(self) -> bool:
        """Whether parts that lack can be put together with those that are here."""
        ...

    def gap(self, part: Part) -> Part | None:
        """The whole of the first gap that lies in or reaches into `part`; None if all of that is here."""
        ...


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Entry:
    """One stored response. Two entries are never equal; updating one makes another with the same content.

    `order` is the number of the process's last purge when the fetch began, `position` the journal's then,
    `number` that of the last purge that the node's store had told of.
    """

    key: str
    site: str
    status: int
    fields: Fields  # end to end, less those that no-cache and private name
    selection: Selection  # what Vary named, and what the request said (§4.1)
    directives: ResponseDirectives
    freshness: Freshness
    etag: ETag | None
    last_modified: int | None
    date: int
    tags: tuple[str, ...]
    groups: tuple[str, ...]  # RFC 9875
    for_authorized: bool  # may answer requests with credentials (§3.5)
    content: Content
    order: int
    position: Position
    number: int = 0
