"""Networks that no buyer lives in: data centres, and those that proxies are let from."""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

TABLE = Path(__file__).parent / "data" / "networks.toml"


@cache
def shipped() -> Mapping[int, str]:
    """What stands behind an autonomous system's number: `hosting` or `proxy`."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {number: kind for kind, rows in table.items() for number in rows.values()}


def kind_of(asn: int | None, hosting: Iterable[int], homes: Iterable[int]) -> str:
    """`hosting`, `proxy`, or nothing: the operator's own lists come first."""
    if asn is None or asn in homes:
        return ""
    return "hosting" if asn in hosting else shipped().get(asn, "")


def network_of(address: str) -> str:
    """The network that an address is counted with: /24 of IPv4, /48 of IPv6; nothing where it is none."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    ip = mapped or ip
    return str(ipaddress.ip_network((ip, 24 if ip.version == 4 else 48), strict=False))
