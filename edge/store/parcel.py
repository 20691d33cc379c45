"""An answer as bytes that other nodes may read: a version, a checksum, its head, its body.

    "TEPI" version crc32(rest) length(head) head body        (version: 1 byte, numbers: 4 bytes, big-endian)

The head is JSON. Whatever is anything else is no parcel; nothing in it can make its reader fail.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from struct import Struct
from typing import Any

from edge.http.message import NO_FIELDS, Fields
from edge.position import ALONE, Position

MAGIC, VERSION = b"TEPI", 1
_FRONT = Struct(">4sBII")


class NoParcel(ValueError):
    """These bytes are not what a node of this version wrote."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """A stored answer. `began` and `born` are wall clock: when its fetch began, and when its age was 0.

    `names` are the request fields by which its variants differ; with any, and `status` 0, it only says so.
    """

    key: str
    names: tuple[str, ...] = ()
    status: int = 0
    fields: Fields = NO_FIELDS
    position: Position = ALONE
    began: float = 0.0
    born: float = 0.0
    expires: float = 0.0
    body: bytes = b""


def packed(parcel: Parcel) -> bytes:
    """`parcel` as bytes."""
    head = {
        "key": parcel.key,
        "names": parcel.names,
        "status": parcel.status,
        "fields": parcel.fields.lines,
        "at": (parcel.position.lineage, parcel.position.number),
        "began": parcel.began,
        "born": parcel.born,
        "expires": parcel.expires,
    }
    text = json.dumps(head, separators=(",", ":")).encode()
    check = zlib.crc32(parcel.body, zlib.crc32(text))
    return _FRONT.pack(MAGIC, VERSION, check, len(text)) + text + parcel.body


def unpacked(data: bytes) -> Parcel:
    """The parcel that `data` is. Raises NoParcel."""
    if len(data) < _FRONT.size:
        raise NoParcel("too short")
    magic, version, check, length = _FRONT.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise NoParcel("of another version")
    text = data[_FRONT.size : _FRONT.size + length]
    body = data[_FRONT.size + length :]
    if len(text) != length or zlib.crc32(body, zlib.crc32(text)) != check:
        raise NoParcel("its checksum is another")
    try:
        return _read(json.loads(text), body)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NoParcel(f"its head can't be read: {error}") from error


def _read(head: dict[str, Any], body: bytes) -> Parcel:
    lineage, number = head["at"]
    return Parcel(
        key=_text(head["key"]),
        names=tuple(_text(name) for name in head["names"]),
        status=_number(head["status"]),
        fields=Fields((_text(name), _text(value)) for name, value in head["fields"]),
        position=Position(_text(lineage), _number(number)),
        began=float(head["began"]),
        born=float(head["born"]),
        expires=float(head["expires"]),
        body=body,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"got {type(value).__name__}, expected text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"got {type(value).__name__}, expected a whole number")
    return value
