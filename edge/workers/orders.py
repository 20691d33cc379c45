"""What the supervisor of a node and its workers say to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from prometheus_client.core import Metric

from edge.berth import Seat
from edge.config import EdgeConfig
from edge.journal import Document, Event, Snapshot
from edge.listeners import Wanted
from edge.purge import Mark

# Orders of the supervisor: the worker replies when they hold ------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin:
    """Build yourself, up to the state `snapshot`, if there is one. Nobody is let in yet."""

    config: EdgeConfig
    seat: Seat
    snapshot: Snapshot | None
    known: bool  # whether what is stored is of that state
    ready: bool
    down: tuple[OriginKey, ...]


@dataclass(frozen=True, slots=True)
class Open:
    """Let visitors in by the listening sockets that came before."""


@dataclass(frozen=True, slots=True)
class Apply:
    """An event of the journal. `written`: another worker has written what it purges to the common store."""

    event: Event
    written: bool = False


@dataclass(frozen=True, slots=True)
class Load:
    """A snapshot of the journal: what is stored is older than that."""

    snapshot: Snapshot
    written: bool = False  # as in Apply


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make sure that `config` can be taken, and change nothing yet."""

    config: EdgeConfig


@dataclass(frozen=True, slots=True)
class Commit:
    """Take what was prepared."""

    written: bool = False  # as in Apply


@dataclass(frozen=True, slots=True)
class Abandon:
    """Forget what was prepared."""


@dataclass(frozen=True, slots=True)
class Strike:
    """Refuse from now on what `mark` strikes: of a worker, what its visitor's request has outdated."""

    mark: Mark


@dataclass(frozen=True, slots=True)
class Ask:
    """Carry out what an operator or control asks, and tell."""

    what: Literal["purge", "dry-run", "explain", "hooks"]
    document: Document
    written: bool = False  # as in Apply


@dataclass(frozen=True, slots=True)
class Collect:
    """Tell every metric."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Are you there? `ready` is whether visitors should be sent to this node."""

    ready: bool
    prober: bool  # whether the origins' regular checks are yours


@dataclass(frozen=True, slots=True)
class Pong:
    """Here I am; cumulative counters, as in heartbeats."""

    figures: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a worker measured and counted."""

    families: tuple[Metric, ...]


# Notices ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Listening:
    """A listening socket for `wanted`, which goes along."""

    wanted: Wanted


@dataclass(frozen=True, slots=True)
class StandIn:
    """Answer at the listening socket that goes along, too: that of worker `absent`, who is away."""

    absent: int
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class StepBack:
    """Worker `absent` is there again."""

    absent: int


@dataclass(frozen=True, slots=True)
class LogTurn:
    """The file whose lock says whose turn it is to write to the access log, which goes along."""


@dataclass(frozen=True, slots=True)
class Tally:
    """The memory in which a node's workers count clients together, which goes along."""


@dataclass(frozen=True, slots=True)
class Drain:
    """Let nobody in any more, finish what is under way, and end."""


@dataclass(frozen=True, slots=True)
class OriginKey:
    """An origin of a site, checked by `path`."""

    site: str
    url: str
    path: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What the regular checks of an origin found."""

    origin: OriginKey
    down: bool


@dataclass(frozen=True, slots=True)
class Leaving:
    """This worker lets nobody in any more, and ends when what is under way has."""
