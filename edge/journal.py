"""Control's journal as a node reads it: signed events and snapshots, and the frames around them.

A payload is signed as the very bytes that travel, so nothing has to be written the same way twice. The reader
owns the contract: control writes with these functions.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge.position import Position

Kind = Literal["site.put", "site.try", "site.delete", "purge", "fleet.put", "certificate.put"]
KINDS: tuple[str, ...] = get_args(Kind)  # a tuple: what comes may not be hashable
Document = Mapping[str, Any]


class BadJournal(ValueError):
    """What came is not a frame of the journal, or not signed by the control that this node joined."""


@dataclass(frozen=True, slots=True)
class Event:
    """One change: `body` is a site document, a trial, a purge, the fleet or a certificate's name, by `kind`.

    A trial is a site's document, and the names of the `nodes` that go by it until the site's next `site.put`.
    """

    position: Position
    kind: Kind
    body: Document


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the journal up to `position` amounts to, purges excepted."""

    position: Position
    sites: tuple[Document, ...]
    fleet: tuple[Document, ...]
    certificates: tuple[Document, ...]
    trials: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class Signed:
    """A payload's text and its Ed25519 signature."""

    payload: str
    signature: str


class Signer:
    """Control's pen."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def sign(self, payload: Document) -> Signed:
        """`payload` as text, signed."""
        text = json.dumps(payload, separators=(",", ":"), ensure_ascii=False)
        return Signed(text, base64.b64encode(self._key.sign(text.encode())).decode())


class Reader:
    """Reads what the holder of one key has signed, and nothing else."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key

    @classmethod
    def of(cls, raw: bytes) -> Reader:
        """A reader for the 32 raw bytes of a public key. Raises BadJournal."""
        try:
            return cls(Ed25519PublicKey.from_public_bytes(raw))
        except ValueError as error:
            raise BadJournal(f"journal key: got {len(raw)} bytes, expected 32") from error

    def event(self, frame: Document) -> Event:
        """The event in an `event` frame. Raises BadJournal."""
        payload = self._payload(frame)
        kind, body = payload.get("kind"), payload.get("body")
        if kind not in KINDS:
            raise BadJournal(f"kind: got {kind!r}, expected one of {', '.join(sorted(KINDS))}")
        if not isinstance(body, dict):
            raise BadJournal(f"body: got {type(body).__name__}, expected an object")
        return Event(position_of(payload), kind, body)

    def snapshot(self, frame: Document) -> Snapshot:
        """The snapshot in a `snapshot` frame. Raises BadJournal."""
        payload = self._payload(frame)
        lists = {name: payload.get(name) for name in ("sites", "fleet", "certificates")}
        lists["trials"] = payload.get("trials", [])
        for name, items in lists.items():
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise BadJournal(f"{name}: expected a list of objects")
        return Snapshot(position_of(payload), *(tuple(items or ()) for items in lists.values()))

    def _payload(self, frame: Document) -> dict[str, Any]:
        text, signature = frame.get("payload"), frame.get("signature")
        if not isinstance(text, str) or not isinstance(signature, str):
            raise BadJournal("a frame without payload or signature")
        try:
            self._key.verify(base64.b64decode(signature, validate=True), text.encode())
        except (InvalidSignature, ValueError) as error:
            raise BadJournal("the signature is not the one of the control that this node joined") from error
        return parse(text)


def parse(text: str) -> dict[str, Any]:
    """A frame or payload as an object. Raises BadJournal."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadJournal(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadJournal(f"got {type(value).__name__}, expected an object")
    return value


def position_of(document: object) -> Position:
    """The position in `document`. Raises BadJournal."""
    if not isinstance(document, dict):
        raise BadJournal(f"position: got {type(document).__name__}, expected an object")
    lineage, number = document.get("lineage"), document.get("number")
    if not isinstance(lineage, str) or not isinstance(number, int) or isinstance(number, bool):
        raise BadJournal(f"position: got {lineage!r} {number!r}, expected a lineage and a number")
    return Position(lineage, number)


def position_document(position: Position | None) -> dict[str, Any] | None:
    """`position` as it travels."""
    return None if position is None else {"lineage": position.lineage, "number": position.number}


def signed_frame(kind: Literal["event", "snapshot"], signed: Signed) -> str:
    """A signed payload as a frame."""
    return json.dumps({"type": kind, "payload": signed.payload, "signature": signed.signature})
