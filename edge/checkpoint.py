"""The last good state of the journal on a node's disk, so that it serves on when control is away.

One file holds a whole state, a second one the events since. Both are flushed before they are acknowledged.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.identity import write_private
from edge.journal import Document, Event, Snapshot, parse, position_document, position_of
from edge.position import Position

COMPACT_AFTER = 1000  # events


@dataclass(slots=True)
class State:
    """What the journal amounts to at `position`: sites and certificates by name, the fleet as a list."""

    position: Position
    sites: dict[str, Document] = field(default_factory=dict)
    fleet: tuple[Document, ...] = ()
    certificates: dict[str, Document] = field(default_factory=dict)
    trials: dict[str, Document] = field(default_factory=dict)

    def fold(self, event: Event) -> None:
        """Takes `event` in."""
        match event.kind:
            case "site.put":
                self.sites[event.body["name"]] = event.body
                self.trials.pop(event.body["name"], None)
            case "site.try":
                self.trials[event.body["site"]["name"]] = event.body
            case "site.delete":
                self.sites.pop(event.body["name"], None)
                self.trials.pop(event.body["name"], None)
            case "fleet.put":
                self.fleet = tuple(event.body["nodes"])
            case "certificate.put":
                self.certificates[event.body["name"]] = event.body
            case "purge":
                pass  # it is done, not kept
        self.position = event.position

    def snapshot(self) -> Snapshot:
        """This state as control would have sent it."""
        return Snapshot(
            self.position,
            tuple(self.sites.values()),
            self.fleet,
            tuple(self.certificates.values()),
            tuple(self.trials.values()),
        )


def state_of(snapshot: Snapshot) -> State:
    """`snapshot` as a state that events can be folded into."""
    return State(
        snapshot.position,
        {site["name"]: site for site in snapshot.sites},
        snapshot.fleet,
        {certificate["name"]: certificate for certificate in snapshot.certificates},
        {trial["site"]["name"]: trial for trial in snapshot.trials},
    )


class Checkpoint:
    """Keeps a State in a directory. One writer."""

    def __init__(self, directory: Path) -> None:
        self._whole = directory / "journal.json"
        self._since = directory / "journal.since"
        self._events = 0
        self.state: State | None = None

    def load(self) -> State | None:
        """The state of the last run; a line that was cut while being written is left out."""
        try:
            self.state = _read(parse(self._whole.read_text()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        if self._since.exists():
            for line in self._since.read_text().splitlines():
                event, here = _event(line), self.state.position
                if event is None or event.position != Position(here.lineage, here.number + 1):
                    break
                self.state.fold(event)
                self._events += 1
            self._compact()
        return self.state

    def replace(self, snapshot: Snapshot) -> None:
        """`snapshot` is the state from now on."""
        self.state = state_of(snapshot)
        self._compact()

    def record(self, event: Event) -> None:
        """`event` is part of the state from now on."""
        assert self.state is not None
        line = {**(position_document(event.position) or {}), "kind": event.kind, "body": dict(event.body)}
        with self._since.open("a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.state.fold(event)
        self._events += 1
        if self._events >= COMPACT_AFTER:
            self._compact()

    def _compact(self) -> None:
        assert self.state is not None
        self._whole.parent.mkdir(parents=True, exist_ok=True)
        snapshot = self.state.snapshot()
        document = {
            **(position_document(snapshot.position) or {}),
            "sites": snapshot.sites,
            "fleet": snapshot.fleet,
            "certificates": snapshot.certificates,
            "trials": snapshot.trials,
        }
        write_private(self._whole, json.dumps(document).encode())
        self._since.unlink(missing_ok=True)
        self._events = 0


def _read(document: dict[str, Any]) -> State:
    return state_of(
        Snapshot(
            position_of(document),
            tuple(document["sites"]),
            tuple(document["fleet"]),
            tuple(document["certificates"]),
            tuple(document.get("trials", ())),  # a checkpoint of before there were any
        )
    )


def _event(line: str) -> Event | None:
    try:
        document = parse(line)
        return Event(position_of(document), document["kind"], document["body"])
    except (ValueError, KeyError):
        return None
