"""A zone as its server sees it: values, and names in wire form (RFC 1035 §3.1). No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

from geo.dns.keys import Key
from geo.dns.message import Record

LONGEST_NAME = 255  # RFC 1035 §2.3.4, in wire form
LONGEST_LABEL = 63

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\Z")


class BadName(ValueError):
    """A domain name that can't be put on the wire; the text says why."""


@dataclass(frozen=True, slots=True)
class NameServer:
    """One of the zone's name servers. `addresses` are answered, as glue too, where `name` is in the zone."""

    name: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Zone:
    """The zone: its name servers, its SOA (RFC 1035 §3.3.13), and how long answers live, in seconds.

    `ttl` is that of answers with nodes, `negative_ttl` that of "no such name" and "no such data"
    (RFC 2308 §4), `stable_ttl` that of NS, SOA and name servers' addresses. `answers` is the most
    nodes of one place in one answer, `alpn` what HTTPS records of hosts say that nodes speak (none: no such
    records), `records` what the zone has beside SOA, NS and hosts, `keys` what signs it (none: unsigned).
    """

    name: str
    servers: tuple[NameServer, ...]
    contact: str
    serial: int = 1
    refresh: int = 3600
    retry: int = 600
    expire: int = 604800
    ttl: int = 20
    negative_ttl: int = 20
    stable_ttl: int = 3600
    answers: int = 1
    alpn: tuple[str, ...] = ()
    records: tuple[Record, ...] = ()
    keys: tuple[Key, ...] = ()


def wire_name(text: str) -> bytes:
    """A host name's lower-case wire form; a trailing dot changes nothing, non-ASCII labels become A-labels.

    A leftmost label `*` is kept. Raises BadName.
    """
    name = text.strip().removesuffix(".").lower()
    if not name:
        return b"\0"
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise BadName(f"{text!r} is no domain name: {error}") from error
    wire = bytearray()
    for position, label in enumerate(name.split(".")):
        if not (_LABEL.match(label) or (label == "*" and position == 0)):
            raise BadName(f"{text!r} is no domain name: label {label!r} is not letters, digits and hyphens")
        if len(label) > LONGEST_LABEL:
            raise BadName(f"{text!r} is no domain name: a label is longer than {LONGEST_LABEL} characters")
        wire.append(len(label))
        wire += label.encode("ascii")
    wire.append(0)
    if len(wire) > LONGEST_NAME:
        raise BadName(f"{text!r} is no domain name: longer than {LONGEST_NAME - 2} characters")
    return bytes(wire)


def mailbox_name(text: str) -> bytes:
    """The wire form of an SOA's mailbox, whose first label may hold what no host's can (RFC 1035 §8).

    A dot within that label is written `\\.`. Raises BadName.
    """
    local, _, domain = re.sub(r"\\\.", "\0", text).partition(".")
    label = re.sub(r"\\(.)", r"\1", local).replace("\0", ".").encode("utf-8")
    if not 0 < len(label) <= LONGEST_LABEL:
        raise BadName(f"{text!r} is no mailbox: expected hostmaster.shop.example for hostmaster@shop.example")
    return bytes((len(label),)) + label + wire_name(domain)


def parents(name: bytes) -> list[bytes]:
    """`name` (wire form) and each name above it, the root last."""
    above = [name]
    while name != b"\0":
        name = name[name[0] + 1 :]
        above.append(name)
    return above


def is_within(name: bytes, zone: bytes) -> bool:
    """Whether `name` is `zone` or lies below it; both lower-case wire forms."""
    if not name.endswith(zone):
        return False
    extra = len(name) - len(zone)
    at = 0
    while at < extra:
        at += name[at] + 1
    return at == extra
