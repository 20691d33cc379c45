"""`tepi dns --config FILE.toml`: what a name server is told."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from geo.dns.zone import BadName, NameServer, Zone, is_within, wire_name
from geo.fleet import Fleet, Node, Place

WILDCARDS = frozenset({"0.0.0.0", "::"})  # noqa: S104 — recognised, not listened on


def split_address(text: str) -> tuple[str, int]:
    """`ADDRESS:PORT` or `[IPV6]:PORT` in its parts. Raises ValueError, which says what is accepted."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError("ADDRESS:PORT, such as 127.0.0.1:5300 or [::1]:5300")
    if (":" in bare) != (bare != host):
        raise ValueError("brackets around an IPv6 address, such as [::1]:5300, and only there")
    return str(_ip(bare)), int(port)


def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise ValueError("an IPv4 or IPv6 address, such as 192.0.2.1") from error


def _listener(text: str) -> str:
    split_address(text)
    return text


def _ip_text(text: str) -> str:
    return str(_ip(text))


def _domain(text: str) -> str:
    try:
        wire_name(text)
    except BadName as error:
        raise ValueError(f"a domain name, such as shop.example ({error})") from error
    return text.strip().removesuffix(".").lower()


Listener = Annotated[str, AfterValidator(_listener)]
Address = Annotated[str, AfterValidator(_ip_text)]
Domain = Annotated[str, Field(min_length=1), AfterValidator(_domain)]
Alpn = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
SecretReference = Annotated[str, Field(pattern=r"^(file|env):.+")]
Seconds = Annotated[int, Field(ge=0, le=2**31 - 1)]  # RFC 2181 §8


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class NameServerSettings(_Settings):
    """One of the zone's name servers."""

    name: Domain = Field(description="Its host name, as the parent zone delegates to it.")
    addresses: list[Address] = Field(
        default=[], description="Its addresses; needed where the name lies in the zone itself."
    )


class SoaSettings(_Settings):
    """The zone's start of authority (RFC 1035 §3.3.13)."""

    contact: Domain | None = Field(
        default=None,
        description="The mailbox of who is responsible, @ written as a dot; default hostmaster.ZONE.",
    )
    refresh: Seconds = Field(default=3600, description="Seconds after which a secondary asks for changes.")
    retry: Seconds = Field(default=600, description="Seconds after which it asks again when that failed.")
    expire: Seconds = Field(default=604800, description="Seconds after which it gives up.")
    negative_ttl: Seconds = Field(
        default=20, description='Seconds that "no such name" may be kept (RFC 2308).'
    )
    stable_ttl: Seconds = Field(default=3600, description="Seconds that NS and SOA may be kept.")


class ZoneSettings(_Settings):
    """A zone beside the first, with the same name servers."""

    name: Domain = Field(description="The zone's name.")
    file: str = Field(default="", description="Its file; without one it has sites' hosts only.")


class KeySettings(_Settings):
    """A key that signs a zone (DNSSEC). All keys of a zone are published and sign the set of its keys."""

    zone: Domain = Field(description="The zone.")
    key: SecretReference = Field(
        description="The private key, ECDSA P-256 in PEM, as file:PATH or env:NAME; `tepi zone key` makes it."
    )
    signs: bool = Field(default=True, description="Whether it signs the zone's other records.")
    announced: bool = Field(
        default=True, description="Whether the parent zone is told to point at it (CDS, CDNSKEY: RFC 7344)."
    )


class ControlSettings(_Settings):
    """The control plane that this name server joins."""

    url: str = Field(pattern=r"^https://", description="Control's listener for nodes, https://HOST:PORT.")
    join_token: str = Field(
        default="",
        pattern=r"^$|^(file|env):.+",
        description="The one-time token for the first contact: file:PATH or env:NAME.",
    )


class PlaceSettings(_Settings):
    """Where a node stands."""

    city: str = Field(description="The city's name, for people.")
    country: str = Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2 code, upper case.")
    latitude: float = Field(ge=-90, le=90, description="Degrees, north positive.")
    longitude: float = Field(ge=-180, le=180, description="Degrees, east positive.")


class NodeSettings(_Settings):
    """A node to answer with, for a name server without control."""

    name: str = Field(min_length=1, description="The node's name.")
    place: PlaceSettings = Field(description="Where it stands.")
    addresses: list[Address] = Field(min_length=1, description="The addresses that answers hand out.")
    capacity: float = Field(default=1.0, ge=0, le=1e6, description="Its share among the nodes of one place.")


class ProbeSettings(_Settings):
    """How nodes are probed at http://ADDRESS:PORT/_tepi/health when control is away."""

    interval: float = Field(default=1.0, ge=0.1, le=300, description="Seconds between two probes of a node.")
    timeout: float = Field(default=1.0, ge=0.05, le=60, description="Seconds that a probe may take.")
    fall: int = Field(default=3, ge=1, le=100, description="Failures in a row that make a node unhealthy.")
    rise: int = Field(default=2, ge=1, le=100, description="Successes in a row that make it healthy again.")
    concurrency: int = Field(default=64, ge=1, le=1000, description="Most probes under way at once.")


class DnsSettings(_Settings):
    """A name server (`tepi dns`)."""

    name: str = Field(default="dns", min_length=1, description="This name server's name in the fleet.")
    zone: Domain = Field(description="The zone to answer for; sites whose hosts lie in it get answers.")
    zone_file: str = Field(
        default="",
        description="A zone file (RFC 1035 §5, and ALIAS) with the zone's other records; "
        "SIGHUP reads it again.",
    )
    zones: list[ZoneSettings] = Field(default=[], description="More zones to answer for.")
    listen: list[Listener] = Field(
        min_length=1,
        description="ADDRESS:PORT to answer on, UDP and TCP. Name each address: an answer sent from a "
        "wildcard may leave by another address than the question came to.",
    )
    admin: Listener = Field(
        default="127.0.0.1:5381", description="ADDRESS:PORT of /metrics, /healthz, /readyz."
    )
    state: str = Field(default=".tepi/dns", description="Directory of identity and last snapshot.")
    ns: list[NameServerSettings] = Field(
        default=[],
        validate_default=True,
        description="The zone's name servers, the primary first; default ns1.ZONE at the `listen` addresses.",
    )
    soa: SoaSettings = Field(default=SoaSettings(), description="The zone's start of authority.")
    keys: list[KeySettings] = Field(default=[], description="The keys of signed zones; default unsigned.")
    ttl: Seconds = Field(default=20, description="Seconds that an answer with nodes may be kept.")
    answers: int = Field(default=1, ge=1, le=8, description="Most nodes of one place in one answer.")
    alpn: list[Alpn] = Field(
        default=[],
        description='What nodes speak, such as ["h2", "http/1.1"]: hosts then have HTTPS records (RFC 9460) '
        "with the nearest nodes' addresses as hints.",
    )
    client_subnet: bool = Field(
        default=True,
        description="Whether resolvers' client subnets (RFC 7871) count; if not, resolvers' places decide.",
    )
    nsid: str = Field(
        default="", max_length=255, description="What to tell who asks which server answers (RFC 5001)."
    )
    cookie_secrets: list[SecretReference] = Field(
        default=[],
        description="Secrets of DNS cookies (RFC 9018), 32 hex digits each, as file:PATH or env:NAME: the "
        "first makes them, all are recognised. Servers of one address share them; default one made at start.",
    )
    amplification: float = Field(
        default=12.0,
        ge=2,
        le=100,
        description="Most octets of a UDP reply for each of its query's, unless a cookie proves the sender; "
        "what is longer is truncated, to be asked over TCP.",
    )
    rate_limit: int = Field(
        default=2000,
        ge=0,
        description="UDP replies a second to one network (/24, /56) without a cookie; 0 is no limit.",
    )
    rate_slip: int = Field(
        default=2,
        ge=0,
        le=100,
        description="Of replies beyond it every n-th is sent truncated, the others not at all; 0 sends none.",
    )
    resolver: list[Address] = Field(
        default=[],
        description="Resolvers for the names elsewhere that ALIAS records lead to; default the system's.",
    )
    tcp_connections: int = Field(default=200, ge=1, description="Most TCP connections at once.")
    tcp_of_one: int = Field(default=50, ge=1, description="Most TCP connections of one address.")
    tcp_idle: float = Field(default=10.0, ge=0.1, description="Seconds after which an idle one is closed.")
    geo_database: str = Field(default="", description="An MMDB file; default the one that is shipped.")
    probe_port: int = Field(default=8080, ge=1, le=65535, description="The nodes' traffic port, for probes.")
    probe: ProbeSettings = Field(default=ProbeSettings(), description="How nodes are probed.")
    control: ControlSettings | None = Field(
        default=None, description="The control plane to join; hosts and nodes come from there."
    )
    hosts: list[str] = Field(default=[], description="Without control: the host names to answer for.")
    nodes: list[NodeSettings] = Field(default=[], description="Without control: the nodes to answer with.")

    @field_validator("ns")
    @classmethod
    def _can_be_found(cls, ns: list[NameServerSettings], others: ValidationInfo) -> list[NameServerSettings]:
        if not ns and "listen" in others.data and not _reachable(others.data["listen"]):
            raise ValueError("the name servers with their addresses, for `listen` has wildcards only")
        apex = wire_name(others.data.get("zone", "invalid"))
        for server in ns:
            if not server.addresses and is_within(wire_name(server.name), apex):
                raise ValueError(f"addresses for {server.name}, which lies in the zone itself")
        return ns

    @field_validator("hosts", "nodes")
    @classmethod
    def _come_from_one_place(cls, value: list[Any], others: ValidationInfo) -> list[Any]:
        if value and others.data.get("control") is not None:
            raise ValueError("nothing beside [control], from which hosts and nodes come")
        return value

    @field_validator("nodes")
    @classmethod
    def _are_told_apart(cls, nodes: list[NodeSettings]) -> list[NodeSettings]:
        if len({node.name for node in nodes}) != len(nodes):
            raise ValueError("each name once")
        return nodes

    def listeners(self) -> tuple[tuple[str, int], ...]:
        """`listen` as address and port."""
        return tuple(split_address(text) for text in self.listen)

    @field_validator("zones")
    @classmethod
    def _are_zones_once(cls, zones: list[ZoneSettings], others: ValidationInfo) -> list[ZoneSettings]:
        names = [others.data.get("zone"), *(zone.name for zone in zones)]
        if len(set(names)) != len(names):
            raise ValueError("each zone once")
        return zones

    @field_validator("keys")
    @classmethod
    def _keys_do_their_work(cls, keys: list[KeySettings]) -> list[KeySettings]:
        for zone in {key.zone for key in keys}:
            its = [key for key in keys if key.zone == zone]
            if not any(key.signs for key in its) or not any(key.announced for key in its):
                raise ValueError(f"of the keys of {zone} one that signs and one that is announced")
        return keys

    @model_validator(mode="after")
    def _keys_have_zones(self) -> Self:
        for key in self.keys:
            if key.zone not in self.files():
                raise ValueError(f"keys of {', '.join(self.files())}, not of {key.zone}")
        return self

    def files(self) -> dict[str, str]:
        """Each zone's file, "" for none, the first zone first."""
        return {self.zone: self.zone_file, **{zone.name: zone.file for zone in self.zones}}

    def zone_value(self, serial: int = 1, name: str | None = None) -> Zone:
        """The zone `name` (default the first) as the settings have it, without what is in its file."""
        servers = tuple(NameServer(one.name, tuple(one.addresses)) for one in self.ns)
        name = name or self.zone
        return Zone(
            name=name,
            servers=servers or (NameServer(f"ns1.{self.zone}", _reachable(self.listen)),),
            contact=self.soa.contact or f"hostmaster.{name}",
            serial=serial,
            refresh=self.soa.refresh,
            retry=self.soa.retry,
            expire=self.soa.expire,
            ttl=self.ttl,
            negative_ttl=self.soa.negative_ttl,
            stable_ttl=self.soa.stable_ttl,
            answers=self.answers,
            alpn=tuple(self.alpn),
        )

    def fleet_value(self) -> Fleet:
        """The nodes that are named in the file itself."""
        return Fleet(
            tuple(
                Node(
                    name=node.name,
                    place=Place(**node.place.model_dump()),
                    addresses=tuple(node.addresses),
                    capacity=node.capacity,
                )
                for node in self.nodes
            )
        )


def _reachable(listen: list[str]) -> tuple[str, ...]:
    """The addresses of `listen` that others can be told."""
    hosts = (split_address(text)[0] for text in listen)
    return tuple(dict.fromkeys(host for host in hosts if host not in WILDCARDS))
