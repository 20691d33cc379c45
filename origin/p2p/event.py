"""Events as Nostr writes them (NIP-01): read strictly, nothing believed before `verify`. Pure."""

from __future__ import annotations

import hashlib
from enum import Enum
from typing import Annotated

import msgspec
from coincurve import PublicKeyXOnly

Hex32 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
Hex64 = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{128}\Z")]
LATEST = 2**53 - 1  # what every client's numbers can hold

PROFILE, DELETION, SEAL, WRAP, REPORT, AUTH = 0, 5, 13, 1059, 1984, 22242
LISTING, DRAFT = 30402, 30403


class Unacceptable(ValueError):
    """An event, filter or message is refused; the text begins with NIP-01's word for why."""


class Class(Enum):
    """What becomes of an event by its kind (NIP-01)."""

    REGULAR = "regular"
    REPLACEABLE = "replaceable"
    EPHEMERAL = "ephemeral"
    ADDRESSABLE = "addressable"


class Event(msgspec.Struct, frozen=True):
    """One signed event."""

    id: Hex32
    pubkey: Hex32
    created_at: Annotated[int, msgspec.Meta(ge=0, le=LATEST)]
    kind: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    tags: list[list[str]]
    content: str
    sig: Hex64

    def first(self, name: str) -> str | None:
        """The value of the first tag called `name`."""
        return next((tag[1] for tag in self.tags if len(tag) > 1 and tag[0] == name), None)

    def values(self, name: str) -> list[str]:
        """The values of all tags called `name`."""
        return [tag[1] for tag in self.tags if len(tag) > 1 and tag[0] == name]

    def has(self, name: str) -> bool:
        """Whether there is a tag called `name`, of any length."""
        return any(tag and tag[0] == name for tag in self.tags)

    def encoded(self) -> bytes:
        """As JSON, in the order in which NIP-01 shows the fields."""
        return msgspec.json.encode(self)


_decoder = msgspec.json.Decoder(Event)


def read(text: bytes | msgspec.Raw) -> Event:
    """An event from JSON. Raises Unacceptable, which names the field."""
    try:
        return _decoder.decode(text)
    except msgspec.ValidationError as error:
        raise Unacceptable(f"invalid: {error}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise Unacceptable(f"invalid: no JSON: {error}") from None


def id_of(event: Event) -> str:
    """The id that its content gives (NIP-01)."""
    said = [0, event.pubkey, event.created_at, event.kind, event.tags, event.content]
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()


def verify(event: Event) -> None:
    """Raises Unacceptable unless id and signature (BIP-340) are true."""
    if id_of(event) != event.id:
        raise Unacceptable("invalid: id is not the SHA-256 of the event")
    try:
        key = PublicKeyXOnly(bytes.fromhex(event.pubkey))
        true = key.verify(bytes.fromhex(event.sig), bytes.fromhex(event.id))
    except ValueError:
        raise Unacceptable("invalid: pubkey is no point of secp256k1") from None
    if not true:
        raise Unacceptable("invalid: sig is not pubkey's signature of id (BIP-340)")


def class_of(kind: int) -> Class:
    """What becomes of events of `kind` (NIP-01)."""
    if kind in (0, 3) or 10_000 <= kind < 20_000:
        return Class.REPLACEABLE
    if 20_000 <= kind < 30_000:
        return Class.EPHEMERAL
    if 30_000 <= kind < 40_000:
        return Class.ADDRESSABLE
    return Class.REGULAR


def address_of(event: Event) -> str | None:
    """Where a replaceable or addressable event stands: the newest there replaces the others (NIP-01)."""
    match class_of(event.kind):
        case Class.REPLACEABLE:
            return f"{event.kind}:{event.pubkey}:"
        case Class.ADDRESSABLE:
            return f"{event.kind}:{event.pubkey}:{event.first('d') or ''}"
        case Class.REGULAR | Class.EPHEMERAL:
            return None


def expires_at(event: Event) -> int | None:
    """When it is over (NIP-40), seconds since 1970. Raises Unacceptable for a moment that is none."""
    text = event.first("expiration")
    if text is None:
        return None
    if not text.isascii() or not text.isdigit() or int(text[:17]) > LATEST:
        raise Unacceptable(f"invalid: expiration: got {text[:20]!r}, expected seconds since 1970")
    return int(text)


def difficulty(id: str) -> int:
    """How many leading bits of an id are zero (NIP-13)."""
    return 256 - int(id, 16).bit_length()


def work_of(event: Event) -> int:
    """The work that was committed to and done: luck beyond the commitment counts for nothing (NIP-13)."""
    meant = next((tag[2] for tag in event.tags if len(tag) > 2 and tag[0] == "nonce"), "0")
    if not meant.isascii() or not meant.isdigit():
        return 0
    return min(int(meant[:4]), difficulty(event.id))
