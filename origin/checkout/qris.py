"""QRIS, Indonesia's payment code: EMVCo's tags, lengths and values, closed by a checksum. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

CRC = "63"
SMALLEST = len("6304FFFF")


class NotQris(ValueError):
    """The text is no payment code, or was damaged on its way."""


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who is paid: the name and city that banks show, and the national merchant id."""

    name: str
    city: str
    id: str


def checksum(text: str) -> str:
    """CRC-16/CCITT-FALSE of `text` as four hex digits, as tag 63 bears it."""
    value = 0xFFFF
    for byte in text.encode():
        value ^= byte << 8
        for _ in range(8):
            value = (value << 1) ^ 0x1021 if value & 0x8000 else value << 1
        value &= 0xFFFF
    return f"{value:04X}"


def code(merchant: Merchant, amount: int, reference: str) -> str:
    """A dynamic code for `amount` sen, in rupiah (360) to `merchant`."""
    rupiah = Decimal(amount) / 100
    written = f"{rupiah:f}".rstrip("0").rstrip(".") if amount % 100 else str(amount // 100)
    account = _tag("00", "ID.CO.QRIS.WWW") + _tag("02", merchant.id) + _tag("03", "UMI")
    body = (
        _tag("00", "01")
        + _tag("01", "12")
        + _tag("51", account)
        + _tag("52", "5411")
        + _tag("53", "360")
        + _tag("54", written)
        + _tag("58", "ID")
        + _tag("59", merchant.name[:25])
        + _tag("60", merchant.city[:15])
        + _tag("62", _tag("05", reference[:25]))
    )
    return body + CRC + "04" + checksum(body + CRC + "04")


def tags(text: str) -> dict[str, str]:
    """The values of a code by tag, its checksum proven. Raises NotQris."""
    if len(text) < SMALLEST or text[-SMALLEST:-4] != CRC + "04":
        raise NotQris("a payment code ends in a checksum")
    if checksum(text[:-4]) != text[-4:].upper():
        raise NotQris("the payment code's checksum is wrong")
    found: dict[str, str] = {}
    rest = text
    while rest:
        tag, length, rest = rest[:2], rest[2:4], rest[4:]
        if not (tag.isdigit() and length.isdigit() and len(rest) >= int(length)):
            raise NotQris(f"the payment code breaks off at tag {tag!r}")
        found[tag], rest = rest[: int(length)], rest[int(length) :]
    return found


def _tag(tag: str, value: str) -> str:
    return f"{tag}{len(value):02d}{value}"
