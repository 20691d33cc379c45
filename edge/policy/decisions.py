"""What can be decided about a request: the pipeline matches on these, and forgetting one is a type error."""

from __future__ import annotations

from edge.http.values import dataclass
from edge.policy.entry import Entry
from edge.policy.partial import Lack
from edge.policy.reasons import MissReason, PassReason, RevalidateReason, StaleReason


@dataclass(frozen=True, slots=True)
class Hit:
    """Serve `entry` as it is."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Stale:
    """Serve `entry` now, refresh it behind."""

    entry: Entry
    reason: StaleReason


@dataclass(frozen=True, slots=True)
class Revalidate:
    """Ask the origin whether `entry` still holds, then serve."""

    entry: Entry
    reason: RevalidateReason


@dataclass(frozen=True, slots=True)
class Complete:
    """Fetch what lacks of `entry`, whose parts are fresh, and serve all of it."""

    entry: Entry
    lack: Lack


@dataclass(frozen=True, slots=True)
class Miss:
    """Fetch, and keep what may be kept."""

    reason: MissReason


@dataclass(frozen=True, slots=True)
class Pass:
    """Fetch for this client alone."""

    reason: PassReason


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The client wants a stored answer or none, and there is none (RFC 9111 §5.2.1.7)."""


Decision = Hit | Stale | Revalidate | Complete | Miss | Pass | Unavailable
