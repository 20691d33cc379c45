"""What a picture's bytes say they are: type, size, and whether they tell more than is seen. Pure.

Nothing is decoded: a picture that would unfold to gigabytes is refused by the numbers in its head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

LARGEST_SIDE = 4096  # pixels
PNG = b"\x89PNG\r\n\x1a\n"
TELLING_PNG = {b"eXIf", b"tEXt", b"zTXt", b"iTXt"}
TELLING_WEBP = {b"EXIF", b"XMP "}
TELLING_JPEG = {*range(0xE1, 0xE2), *range(0xE3, 0xEE), 0xEF, 0xFE}  # all but JFIF, ICC profile and Adobe
SIZED_JPEG = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class BadPicture(ValueError):
    """It is refused; the text says what was got and what would be accepted."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture without anything to tell but itself. Sides in pixels."""

    type: str
    width: int
    height: int


def inspect(data: bytes) -> Picture:
    """What `data` is. Raises BadPicture."""
    try:
        if data.startswith(PNG):
            found = _png(data)
        elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            found = _webp(data)
        elif data.startswith(b"\xff\xd8\xff"):
            found = _jpeg(data)
        else:
            raise BadPicture(f"type: got bytes that begin with {data[:8]!r}, expected WebP, JPEG or PNG")
    except (IndexError, ValueError) as error:
        if isinstance(error, BadPicture):
            raise
        raise BadPicture("picture: it ends too early, expected a whole one") from None
    if not (0 < found.width <= LARGEST_SIDE and 0 < found.height <= LARGEST_SIDE):
        raise BadPicture(
            f"size: got {found.width} × {found.height} pixels, expected at most {LARGEST_SIDE} a side"
        )
    return found


def _png(data: bytes) -> Picture:
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    at, name = len(PNG), b""
    while name != b"IEND":
        length, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        _whole(data, at + 12 + length)
        _silent(name in TELLING_PNG, name)
        at += 12 + length
    _ends(data, at)
    return Picture("image/png", width, height)


def _webp(data: bytes) -> Picture:
    _ends(data, 8 + int.from_bytes(data[4:8], "little"))
    size: tuple[int, int] | None = None
    for name, body in _riff(data, 12):
        _silent(name in TELLING_WEBP, name)
        size = size or _webp_size(name, body)
    if size is None:
        raise BadPicture("picture: nothing in it says how large it is")
    return Picture("image/webp", *size)


def _riff(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    while at < len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        _whole(data, at + 8 + length)
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _webp_size(name: bytes, body: bytes) -> tuple[int, int] | None:
    match name:
        case b"VP8X":
            return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
        case b"VP8L":
            bits = int.from_bytes(body[1:5], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8 ":
            return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
        case _:
            return None


def _jpeg(data: bytes) -> Picture:
    at, size = 2, None
    while data[at + 1] != 0xDA:  # the picture itself begins
        if data[at] != 0xFF:
            raise BadPicture("picture: a part of it begins where none can, expected a JPEG")
        mark, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        _whole(data, at + 2 + length)
        _silent(mark in TELLING_JPEG, f"APP{mark - 0xE0}".encode() if mark != 0xFE else b"a comment")
        if mark in SIZED_JPEG:
            size = int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        at += 2 + max(2, length)
    if size is None or not data.endswith(b"\xff\xd9"):
        raise BadPicture("picture: it ends too early, expected a whole one")
    hidden = next(
        (one for gone, one in pairwise(data[at + 2 :]) if gone == 0xFF and one in TELLING_JPEG), None
    )
    _silent(hidden is not None, b"a part behind the picture")
    return Picture("image/jpeg", *size)


def _whole(data: bytes, end: int) -> None:
    if end > len(data):
        raise BadPicture("picture: it ends too early, expected a whole one")


def _ends(data: bytes, end: int) -> None:
    if end + end % 2 not in (len(data), len(data) + 1):
        raise BadPicture("picture: something stands behind its end, expected nothing")


def _silent(tells: bool, name: bytes) -> None:
    if tells:
        raise BadPicture(
            f"metadata: got {name.decode('latin-1').strip()}, expected none: it may tell where it was taken"
        )
