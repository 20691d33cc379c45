"""What an operator tells a node: the configuration file, and what a site means to the edge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from edge.document.caching import FileTable, KeyTable, NeverTable, SlicesTable, class_rules
from edge.document.esi import EsiTable
from edge.document.fields import AnswerFieldsTable, RequestFieldsTable
from edge.document.files import read_toml
from edge.document.notation import (
    Address,
    Cidr,
    ControlUrl,
    Host,
    Listen,
    Many,
    Name,
    Reference,
    Seconds,
    Size,
    Table,
)
from edge.document.origins import Balance, Commerce, HealthCheck, OriginServer, Timeouts
from edge.document.packs import Platform, embedded
from edge.document.pages import PagesTable
from edge.document.problems import Problem, Refused, problems_of
from edge.document.traffic import (
    MOST_RULES,
    ErrorPageTable,
    MaintenanceTable,
    RedirectTable,
    RewriteTable,
    check_redirects,
    check_rewrites,
    traffic_rules,
)
from edge.document.webhooks import WebhooksTable
from edge.policy.rules import COMPRESSIBLE, Compression, SiteRules
from edge.settings.store import StoreTable
from edge.settings.versions import Http2Table
from edge.tiers.settings import TiersTable


class CacheDefaults(Table):
    """What holds for answers that are silent on it."""

    stale_while_revalidate: int = Field(
        0,
        ge=0,
        le=31_536_000,
        description="Seconds a stale answer is served while a new one is fetched (RFC 5861).",
    )
    stale_if_error: int = Field(
        0, ge=0, le=31_536_000, description="Seconds a stale answer is served when origins fail (RFC 5861)."
    )
    stale_if_unreachable: int = Field(
        86_400,
        ge=0,
        le=31_536_000,
        description="Seconds a stale answer is served while no origin can be reached (RFC 9111 §4.2.4).",
    )
    obey_reload: bool = Field(
        False,
        description="Let visitors force a revalidation (no-cache, max-age or min-fresh in a request).",
    )
    early_hints: bool = Field(
        True,
        description="Tell browsers what a stale page links to while the origin is asked about it (RFC 8297).",
    )
    share_set_cookie: bool = Field(
        False,
        description="Store answers with their cookies: only for sites whose cookies are nobody's own.",
    )


class CompressionTable(Table):
    """Which answers the edge compresses itself."""

    encodings: Annotated[tuple[Literal["br", "zstd", "gzip"], ...], Many] = Field(
        ("br", "zstd", "gzip"),
        description="Codings in order of preference; an empty list: none.",
    )
    types: Annotated[tuple[str, ...], Many] = Field(
        COMPRESSIBLE, description="Media types worth it; `text/*` means every subtype."
    )
    min_size: Size = Field(256, description="Smaller bodies are sent as they are.")


class Site(Table):
    """One storefront: what control validates site documents with, and what `[[sites]]` holds."""

    name: Name = Field(description="A short name: lower-case letters, digits and hyphens.")
    hosts: Annotated[tuple[Host, ...], Many, Field(min_length=1)] = Field(
        description="Host names it answers: shop.example, *.shop.example, or * for every other host."
    )
    origins: Annotated[tuple[OriginServer, ...], Many, Field(min_length=1)] = Field(
        description="Servers that answer for it; one at least for the prefix /."
    )
    platform: Platform | None = Field(
        None, description="What is known of its shop system: a pack by name, or a pack of your own."
    )
    balance: Balance = Field(
        "turns",
        description="Who is next among the origins of one prefix: each in turn, the one with the fewest "
        "requests under way, or always the same for one client (its address, or IPv6 /64). By weight.",
    )
    health: HealthCheck = Field(HealthCheck(), description="How origins are checked.")
    commerce: Commerce | None = Field(None, description="The commerce origin, if it has one.")
    cache: CacheDefaults = Field(CacheDefaults(), description="Defaults for answers that are silent.")
    key: KeyTable = Field(KeyTable(), description="By what answers of one URL differ.")
    never: NeverTable = Field(NeverTable(), description="What is never cached.")
    files: Annotated[tuple[FileTable, ...], Many] = Field(
        (), description="Files that are the same for everybody; the first rule that fits a path holds."
    )
    bypass_cookies: Annotated[tuple[str, ...], Many] = Field(
        (), description="Cookies whose bearers get pages of their own, as patterns of names."
    )
    redirects: Annotated[tuple[RedirectTable, ...], Many, Field(max_length=MOST_RULES)] = Field(
        (), description="Who is sent elsewhere."
    )
    rewrites: Annotated[tuple[RewriteTable, ...], Many, Field(max_length=MOST_RULES)] = Field(
        (), description="What the origin is asked for in place of the visitor's URL."
    )
    request_fields: Annotated[tuple[RequestFieldsTable, ...], Many] = Field(
        (), description="Fields set and unset towards the origin."
    )
    answer_fields: Annotated[tuple[AnswerFieldsTable, ...], Many] = Field(
        (), description="Fields set and unset towards the visitor, on every answer, stored or not."
    )
    error_pages: Annotated[tuple[ErrorPageTable, ...], Many] = Field(
        (), description="Pages that stand in for errors."
    )
    maintenance: MaintenanceTable | None = Field(None, description="The site closed, but for staff.")
    pages: PagesTable | None = Field(None, description="How pages are shared, if not by RFC 9111 alone.")
    esi: EsiTable | None = Field(None, description="How pages are made of fragments; unset, they are not.")
    slices: SlicesTable = Field(SlicesTable(), description="How large bodies are kept and fetched.")
    shield: Name | None = Field(None, description="The PoP by way of which all others ask the origins.")
    guard: bool = Field(
        True,
        description="Whether pages that cookies go with are shared only once they proved everybody's.",
    )
    timeouts: Timeouts = Field(Timeouts(), description="How long origins may take.")
    compression: CompressionTable = Field(CompressionTable(), description="Which answers are compressed.")

    @field_validator("origins")
    @classmethod
    def _cover_every_path(cls, origins: tuple[OriginServer, ...]) -> tuple[OriginServer, ...]:
        if not any(origin.prefix == "/" for origin in origins):
            raise ValueError('origins of which at least one has prefix "/"')
        seen = [(origin.url, origin.prefix) for origin in origins]
        if len(set(seen)) < len(seen):
            raise ValueError("origins that differ in url or prefix; use weight to give one a larger share")
        for prefix in {origin.prefix for origin in origins}:
            if all(origin.backup for origin in origins if origin.prefix == prefix):
                raise ValueError(f"origins of which at least one for prefix {prefix} is no backup")
        return origins

    @field_validator("redirects")
    @classmethod
    def _end(cls, rules: tuple[RedirectTable, ...], others: ValidationInfo) -> tuple[RedirectTable, ...]:
        check_redirects(rules, others.data.get("hosts", ()))
        return rules

    @field_validator("rewrites")
    @classmethod
    def _stay(cls, rules: tuple[RewriteTable, ...], others: ValidationInfo) -> tuple[RewriteTable, ...]:
        check_rewrites(rules, others.data.get("hosts", ()), others.data.get("commerce"))
        return rules

    def rules(self) -> SiteRules:
        """This site, with its platform's pack, as policy sees it."""
        own = self if self.platform is None else self.platform.under(self)
        return SiteRules(
            name=self.name,
            platform=None if self.platform is None else self.platform.label,
            commerce_prefix=None if self.commerce is None else self.commerce.prefix,
            share_set_cookie=self.cache.share_set_cookie,
            guard=self.guard,
            shield=self.shield,
            stale_while_revalidate=self.cache.stale_while_revalidate,
            stale_if_error=self.cache.stale_if_error,
            stale_if_unreachable=self.cache.stale_if_unreachable,
            obey_reload=self.cache.obey_reload,
            early_hints=self.cache.early_hints,
            key=own.key.rules(),
            classes=class_rules(own.never, own.files, own.bypass_cookies, own.pages),
            compression=Compression(
                self.compression.encodings, self.compression.types, self.compression.min_size
            ),
            esi=None if self.esi is None else self.esi.rules(),
            traffic=traffic_rules(
                self.hosts,
                self.commerce,
                self.redirects,
                self.rewrites,
                self.request_fields,
                self.answer_fields,
                self.error_pages,
                self.maintenance,
            ),
            slices=self.slices.rules(),
        )


class TlsTable(Table):
    """The certificate for hosts that have none of their own."""

    cert: str = Field(description="PEM file: the certificate, then its chain.")
    key: str = Field(description="PEM file: the certificate's private key.")


class Limits(Table):
    """What one client, or all together, may ask of a node. Times in seconds."""

    head: Annotated[Size, Field(ge=1024, le=1024 * 1024)] = Field(
        32 * 1024, description="Bytes of request line and fields; more is answered 431."
    )
    body: Size = Field(100 * 2**20, description="Bytes of a request's body; more is answered 413.")
    connections: int = Field(10_000, ge=1, description="Clients' connections in all; more are answered 503.")
    connections_per_address: int = Field(
        512,
        ge=0,
        description="Connections of one address or IPv6 /64; more are answered 503. 0: no limit.",
    )
    idle: Seconds = Field(75.0, description="A connection without a byte either way is closed after this.")
    head_timeout: Seconds = Field(10.0, description="A request's head must be complete by then, or 408.")
    total: Seconds = Field(3600.0, description="One request, answer included, takes no longer.")
    requests_per_second: float = Field(
        0.0,
        ge=0,
        le=1e6,
        description="Requests of one address or IPv6 /64; more are answered 429. 0: no limit.",
    )
    burst: int = Field(50, ge=1, description="Requests let through at once before that rate holds.")


class Access(Table):
    """Who may ask at all. Others are answered 403."""

    allow: Annotated[tuple[Cidr, ...], Many] = Field((), description="If not empty, only these networks.")
    deny: Annotated[tuple[Cidr, ...], Many] = Field((), description="Never these networks, allowed or not.")


class LogTable(Table):
    """The access log."""

    access: Literal["json", "combined", "off"] = Field("json", description="Its form.")
    file: str = Field("", description="Its file, reopened at every reload; empty: standard output.")


class ControlTable(Table):
    """The control plane that this node obeys."""

    url: ControlUrl = Field(description="Its node listener.")
    join_token: Reference | None = Field(
        None, description="The one-time token, as file:PATH or env:NAME; needed for the first start only."
    )


class EdgeConfig(Table):
    """A node's configuration file."""

    part: ClassVar[str] = "edge"

    name: str = Field("", description="The node's name; empty: the machine's host name.")
    tls: TlsTable | None = Field(None, description="The default certificate of the HTTPS listeners.")
    control: ControlTable | None = Field(None, description="Set, sites come from control.")
    listen: Annotated[tuple[Listen, ...], Many] = Field(
        (Address("127.0.0.1", 8080),), description="Addresses for plain HTTP."
    )
    listen_tls: Annotated[tuple[Listen, ...], Many] = Field(
        (), validate_default=True, description="Addresses for HTTPS; they need [tls] or [control]."
    )
    admin: Listen = Field(
        Address("127.0.0.1", 8081),
        description="Metrics, health, purge and explain; whoever reaches it may purge, so keep it private.",
    )
    state: str = Field(
        "",
        validate_default=True,
        description="Directory for identity and last snapshot; needed with [control].",
    )
    trusted_proxies: Annotated[tuple[Cidr, ...], Many] = Field(
        (), description="Networks whose X-Forwarded-* and Forwarded fields are believed."
    )
    workers: int | None = Field(
        None, ge=1, le=256, description="Processes that answer; unset: as many as this one may use cores."
    )
    drain_seconds: float = Field(
        8.0,
        ge=0,
        le=86_400,
        description="How long requests and WebSockets have to end when the node stops; then they are cut.",
    )
    geo_database: str = Field("", description="An MMDB file; empty: the country database that comes along.")
    store: StoreTable = Field(StoreTable(), description="Where answers are kept.")
    http2: Http2Table = Field(Http2Table(), description="What is spoken beside HTTP/1.1.")
    limits: Limits = Field(Limits(), description="Limits on clients.")
    access: Access = Field(Access(), description="Allowed and denied networks.")
    log: LogTable = Field(LogTable(), description="How requests are logged.")
    tiers: TiersTable | None = Field(None, description="The nodes that are asked before an origin.")
    webhooks: WebhooksTable | None = Field(
        None, description="How webhooks are taken in; unset, they go straight to the origin."
    )
    sites: Annotated[tuple[Site, ...], Many] = Field(
        (), validate_default=True, description="Sites of a node without control."
    )

    @field_validator("webhooks")
    @classmethod
    def _have_a_place(cls, table: WebhooksTable | None, others: ValidationInfo) -> WebhooksTable | None:
        if table is not None and not table.spool and not others.data.get("state"):
            raise ValueError("a spool directory in [webhooks], or a state directory for the node")
        return table

    @field_validator("listen_tls")
    @classmethod
    def _can_listen(cls, addresses: tuple[Address, ...], others: ValidationInfo) -> tuple[Address, ...]:
        if not addresses and not others.data.get("listen", True):
            raise ValueError("an address, since listen is empty too")
        if addresses and others.data.get("tls", True) is None and others.data.get("control", True) is None:
            raise ValueError("none, or a [tls] table with cert and key, since there is no [control]")
        return addresses

    @field_validator("state")
    @classmethod
    def _has_a_place(cls, state: str, others: ValidationInfo) -> str:
        if not state and others.data.get("control") is not None:
            raise ValueError("a directory of the node's own, since there is a [control]")
        return state

    @field_validator("sites")
    @classmethod
    def _are_told_apart(cls, sites: tuple[Site, ...], others: ValidationInfo) -> tuple[Site, ...]:
        if "control" in others.data:
            if others.data["control"] is not None and sites:
                raise ValueError("none, since with [control] they come from there")
            if others.data["control"] is None and not sites:
                raise ValueError("at least one site, since there is no [control]")
        _check_claims(sites)
        tiers: TiersTable | None = others.data.get("tiers")
        if tiers is not None and sites:
            tiers.check_shields((site.name, site.shield) for site in sites)
        return sites

    @field_validator("tiers")
    @classmethod
    def _has_a_name(cls, tiers: TiersTable | None, others: ValidationInfo) -> TiersTable | None:
        if tiers is not None:
            tiers.check(others.data.get("name", ""), control=others.data.get("control") is not None)
        return tiers


def _check_claims(sites: tuple[Site, ...]) -> None:
    """Each name and each host belongs to one site."""
    names: set[str] = set()
    owner: dict[str, str] = {}
    for site in sites:
        if site.name in names:
            raise ValueError(f"sites with names of their own; {site.name} is there twice")
        names.add(site.name)
        for host in site.hosts:
            if host in owner:
                raise ValueError(f"hosts of one site each; {host} is {owner[host]}'s and {site.name}'s")
            owner[host] = site.name


def load_edge(path: Path) -> EdgeConfig:
    """Reads a configuration file. Raises Refused with every problem that was found."""
    return parse_edge(standalone(read_toml(path), path.parent))


def standalone(document: dict[str, Any], here: Path) -> dict[str, Any]:
    """A configuration with the packs in files that its sites name, found from `here`. Raises Refused."""
    sites = document.get("sites")
    if not isinstance(sites, list):
        return document
    problems: list[Problem] = []
    written = []
    for at, site in enumerate(sites):
        try:
            written.append(embedded(site, here) if isinstance(site, dict) else site)
        except Refused as refused:
            problems += (replace(one, field=f"sites.{at}.{one.field}") for one in refused.problems)
    if problems:
        raise Refused(problems)
    return {**document, "sites": written}


def parse_edge(document: dict[str, Any]) -> EdgeConfig:
    """A document as a configuration. Raises Refused."""
    try:
        return EdgeConfig.model_validate(document)
    except ValidationError as error:
        raise Refused(problems_of(error, EdgeConfig)) from None
