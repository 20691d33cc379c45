"""How an operator writes addresses, sizes, networks, hosts and URLs: each parser says what it accepts."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNITS = {"B": 1, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"\*|(\*\.)?{_LABEL}(\.{_LABEL})*|\[[0-9a-f:.]+\]")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Address(NamedTuple):
    """Where to listen: a host or address, and a port (0 takes a free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: object) -> Address:
    """`127.0.0.1:8080`, `[::1]:8080`, `name:8080` or `:8080` (every interface). Raises ValueError."""
    if isinstance(text, Address):
        return text
    if isinstance(text, str):
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        numeric = port.isascii() and port.isdigit() and int(port) < 65536
        if colon and numeric and (bracketed or ":" not in host):
            return Address(host[1:-1] if bracketed else host or "0.0.0.0", int(port))  # noqa: S104
    raise ValueError("HOST:PORT, for example 127.0.0.1:8080 or [::1]:8080")


def parse_size(value: object) -> int:
    """Bytes, as a number or as text with a unit: `65536`, `"256MiB"`, `"1.5 GB"`. Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)", value.strip())
        if match and match[2].upper() in {*_UNITS, ""}:
            return int(float(match[1]) * _UNITS[match[2].upper() or "B"])
    raise ValueError('a number of bytes, or text like "256MiB"')


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("an IPv4 or IPv6 address") from None


def parse_network(value: object) -> Network:
    """`10.0.0.0/8`, `2001:db8::/32` or a single address. Raises ValueError."""
    if isinstance(value, Network):
        return value
    try:
        if isinstance(value, str):
            return ipaddress.ip_network(value)
    except ValueError:
        pass
    raise ValueError("an address or a network like 10.0.0.0/8, without bits set to the right of its prefix")


def _name(value: str) -> str:
    if _NAME.fullmatch(value) is None:
        raise ValueError("lower-case letters, digits and hyphens, 63 at most, for example my-shop")
    return value


def parse_host(value: str) -> str:
    """A host name, `*.` and the end of one, or `*`. Raises ValueError."""
    host = value.lower().rstrip(".")
    if _HOST.fullmatch(host) is None or len(host) > 253:
        raise ValueError("a host name like shop.example, *.shop.example, or * for every host; no port")
    return host


def _path_prefix(value: str) -> str:
    if not value.startswith("/") or not value.isascii() or any(sign in value for sign in "?# "):
        raise ValueError("a path that begins with /, for example /api")
    return value


def _origin_url(value: str) -> str:
    wanted = ValueError("http://HOST[:PORT] or https://HOST[:PORT], without path, query or user")
    try:
        parts = urlsplit(value)
        port_fits = parts.port is None or parts.port > 0
    except ValueError:
        raise wanted from None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or not port_fits
        or parts.path not in ("", "/")
        or parts.username is not None
        or "?" in value
        or "#" in value
        or not re.fullmatch(r"[A-Za-z0-9._:\-\[\]]+", parts.netloc)
    ):
        raise wanted
    return f"{parts.scheme}://{parts.netloc}"


def _control_url(value: str) -> str:
    if urlsplit(value).scheme != "https" or not urlsplit(value).hostname:
        raise ValueError("https://HOST:PORT of control's node listener")
    return value.rstrip("/")


def _reference(value: str) -> str:
    if not re.fullmatch(r"(file|env):.+", value):
        raise ValueError("file:PATH or env:NAME, where the secret itself lies")
    return value


Listen = Annotated[
    Address,
    BeforeValidator(parse_address),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["127.0.0.1:8080"]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": ["integer", "string"], "examples": [65536, "256MiB"]}),
]
Cidr = Annotated[
    Network,
    BeforeValidator(parse_network),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.0/8"]}),
]
IpAddress = Annotated[str, AfterValidator(_address)]
Name = Annotated[str, AfterValidator(_name)]
Host = Annotated[str, AfterValidator(parse_host)]
Prefix = Annotated[str, AfterValidator(_path_prefix)]
OriginUrl = Annotated[str, AfterValidator(_origin_url)]
ControlUrl = Annotated[str, AfterValidator(_control_url)]
Reference = Annotated[str, AfterValidator(_reference)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Many = Field(strict=False)  # TOML and JSON have lists where we keep tuples


class Table(BaseModel):
    """A table of settings: unknown keys and wrong types are refused, nothing changes later."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
