"""Which stream's bytes go next: extensible priorities (RFC 9218). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol, TypeVar

import http_sf

from edge.http.remembered import remembered

PRIORITY_UPDATE = 0x10  # §7.1


class Priority(NamedTuple):
    """Lower urgency first; what is incremental is useful in pieces, so that several may take turns."""

    urgency: int = 3
    incremental: bool = False


class Sends(Protocol):
    """A stream with something to send."""

    number: int
    priority: Priority
    turn: int  # how many turns it has had


S = TypeVar("S", bound=Sends)


def parse(value: str | None) -> Priority:
    """The Priority field (§4, §5): a Dictionary; what can't be read counts as absent."""
    return _parsed(value) if value else Priority()


@remembered(1024)
def _parsed(value: str) -> Priority:
    try:
        dictionary = http_sf.parse(value.encode("latin-1"), tltype="dictionary")
    except (ValueError, UnicodeEncodeError):
        return Priority()
    assert isinstance(dictionary, dict)
    urgency, incremental = (_bare(dictionary.get(name)) for name in ("u", "i"))
    known = type(urgency) is int and 0 <= urgency <= 7
    return Priority(urgency if known else 3, incremental is True)


def _bare(member: object) -> Any:
    """A member's item, less its parameters."""
    return member[0] if isinstance(member, tuple) else member


def parse_update(payload: bytes) -> tuple[int, Priority] | None:
    """The stream that a PRIORITY_UPDATE frame concerns and its priority (§7.1); None if it can't be read."""
    if len(payload) < 4:
        return None
    number = int.from_bytes(payload[:4], "big") & 0x7FFF_FFFF
    return number, parse(payload[4:].decode("latin-1"))


def next_of(streams: Iterable[S]) -> S:
    """The stream to send of (§10): the most urgent; of these what is not incremental, in order, whole.

    What is incremental takes turns. `streams` are not empty.
    """
    return min(
        streams,
        key=lambda one: (
            one.priority.urgency,
            one.priority.incremental,
            one.turn if one.priority.incremental else 0,
            one.number,
        ),
    )
