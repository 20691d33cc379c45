"""A node as control and its own operator know it: sites, purges, certificates, explanations, figures."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, assert_never

from pydantic import Field, ValidationError

from edge.config import Site
from edge.document.notation import IpAddress, Table
from edge.document.problems import Refused, problems_of
from edge.guard import head
from edge.guard.refusal import Refusal
from edge.http.message import LOCAL, Client, Fields, Request
from edge.identity import write_private
from edge.journal import Document, Event, Snapshot
from edge.pipeline import Pipeline
from edge.position import ALONE, Position
from edge.purge import Purge, PurgeKind
from edge.ruling import host_of
from edge.sites import Sites, shared_as
from edge.tls import BadCertificate, Certificates, KeyPair

log = logging.getLogger("tepi.edge.node")

FetchCertificate = Callable[[str], Awaitable[Mapping[str, str]]]


class PurgeBody(Table):
    """What is to be forgotten."""

    kind: Literal["url", "prefix", "tag", "site"] = Field(description="What `value` is.")
    value: str = Field(min_length=1, max_length=8192, description="A URL, a tag, a site's name or host.")
    soft: bool = Field(False, description="Mark stale instead of dropping.")
    site: str | None = Field(None, description="Narrows a tag to one site.")
    dry_run: bool = Field(False, description="Tell what would go; change nothing.")

    def purge(self) -> Purge:
        """The same as a value."""
        kind: PurgeKind = self.kind
        return Purge(kind, self.value, self.soft, self.site)


class ExplainBody(Table):
    """A request to be explained without being sent."""

    url: str = Field(min_length=1, max_length=8192, description="An absolute URL.")
    method: str = Field("GET", min_length=1, max_length=32, description="The request's method.")
    fields: dict[str, str] = Field({}, description="The request's fields.")
    client: IpAddress = Field(LOCAL.address, description="The visitor's address.")

    def request(self) -> Request:
        """The same as a request. Raises Refused."""
        scheme = self.url.partition("://")[0].lower()
        place = head.target(self.method, scheme, "1.1", self.url, Fields([("Host", "x")]))
        if isinstance(place, Refusal) or scheme not in ("http", "https"):
            wanted = "an absolute URL like http://shop.test/path, and a method other than CONNECT and TRACE"
            raise ValueError(f"url: got {self.url!r}, expected {wanted}")
        fields = Fields([("Host", place.host), *self.fields.items()])
        return Request(self.method, scheme, place.host, place.path, place.query, fields)


@dataclass(slots=True)
class Node:
    """What a node does with what it is told; edge.agent.Applies for one that has a control.

    `locate` says where an address is, `meet` is told of the fleet's nodes, `hooks` what is asked of webhooks.
    `name` is what control calls it.

    `fetch_certificate` gets a certificate and its key from control; they are kept in `keys`, so that HTTPS
    works when control is away. A node that has but `keys` shows what somebody else fetched into them.
    """

    sites: Sites
    pipeline: Pipeline
    certificates: Certificates
    figures: Callable[[], dict[str, Any]]
    fetch_certificate: FetchCertificate | None = None
    keys: Path | None = None
    locate: Callable[[str], Client] = Client
    position: Position = ALONE
    name: str = ""
    meet: Callable[[Iterable[Document]], None] = lambda nodes: None
    hooks: Callable[[Document], Awaitable[dict[str, Any]]] | None = None

    # What control says (edge.agent.Applies) -----------------------------------------------------

    async def apply(self, event: Event) -> None:
        """Returns once `event` holds in every answer from now on. Raises ValueError."""
        match event.kind:
            case "site.put":
                await self._put_site(event.body, event.position)
            case "site.try" if self.name in event.body["nodes"]:
                await self._put_site(event.body["site"], event.position)
            case "site.try":
                pass  # others try it
            case "site.delete":
                name = str(event.body["name"])
                self.sites.delete(name)
                await self.pipeline.purge(Purge("site", name), event.position)
            case "purge":
                purge = _purge(event.body)
                await self.pipeline.purge(purge, event.position)
            case "certificate.put":
                await self._put_certificate(event.body, new=True)
            case "fleet.put":
                self.meet(event.body["nodes"])
            case _:
                assert_never(event.kind)
        self.position = event.position

    async def load(self, snapshot: Snapshot, *, known: bool = False) -> None:
        """Takes the place of everything known; a part that can't be taken in does not hold up the rest."""
        problems: list[str] = []
        sites = []
        mine = {each["site"]["name"]: each["site"] for each in snapshot.trials if self.name in each["nodes"]}
        for document in (mine.get(each.get("name"), each) for each in snapshot.sites):
            try:
                sites.append(_site(document))
            except Refused as refused:
                problems.append(f"site {document.get('name')}: {refused}")
                kept = self.sites.named(str(document.get("name")))
                if kept is not None:
                    sites.append(kept)
        await self.take_sites(sites)
        self.meet(snapshot.fleet)
        self.pipeline.begin(snapshot.position)
        if not known:
            await self.pipeline.distrust()
        self.certificates.keep_only(frozenset(str(each["name"]) for each in snapshot.certificates))
        for certificate in snapshot.certificates:
            try:
                await self._put_certificate(certificate, new=False)
            except ValueError as error:
                problems.append(str(error))
        self.position = snapshot.position
        if problems:
            raise ValueError("; ".join(problems))

    async def take_sites(self, sites: Iterable[Site]) -> None:
        """Exactly `sites` from now on; pages that one of them shares otherwise than before are forgotten."""
        await self._forget(self.sites.replace(sites), self.position)

    async def health(self, nodes: dict[str, str]) -> None:
        """Each node's health in control's eyes: name servers ask for it, edges answer whoever comes."""

    async def command(self, verb: str, body: Document) -> Document:
        """`explain`, `dry-run` and `hooks`. Raises ValueError."""
        match verb:
            case "explain":
                return await self.explain(body)
            case "dry-run":
                return await self.forget({**body, "dry_run": True})
            case "hooks" if self.hooks is not None:
                return await self.hooks(body)
            case _:
                raise ValueError(f"got command {verb!r}, expected explain, dry-run or hooks")

    def heartbeat(self) -> Document:
        """Cumulative counters."""
        return self.figures()

    # What the operator says ---------------------------------------------------------------------

    async def forget(self, document: Document) -> dict[str, Any]:
        """Carries out a purge, or tells what it would drop: how many entries. Raises ValueError."""
        body = _parsed(PurgeBody, document)
        if body.dry_run:
            return (await self.pipeline.weigh(body.purge())).as_json()
        return {"entries": await self.pipeline.purge(body.purge(), self.position)}

    async def purge(self, document: Document) -> dict[str, Any]:
        """`forget` for who stands at this node: with the sites on which nobody will see it."""
        told = {**await self.forget(document), "dry_run": bool(document.get("dry_run"))}
        closed = self.closed()
        return told | ({"closed": closed} if closed else {})

    async def explain(self, document: Document) -> dict[str, Any]:
        """What a request would meet, without sending it. Raises ValueError."""
        body = _parsed(ExplainBody, document)
        request = replace(body.request(), client=self.locate(body.client))
        return (await self.pipeline.explain(request)).as_json()

    async def tend(self) -> None:
        """Keeps at hand what sites show when their origins fail. Called now and then."""
        await self.pipeline.tend((host_of(each.site.hosts), each.rules) for each in self.sites.served())

    def closed(self) -> list[str]:
        """The sites that are closed for maintenance: a purge there is carried out, and nobody sees it."""
        return [site.name for site in self.sites.all() if site.maintenance and site.maintenance.enabled]

    # The steps ----------------------------------------------------------------------------------

    async def _put_site(self, document: Document, at: Position) -> None:
        """A host that left the site, or came from another, must not be answered from the old one's store.

        Nor may pages be that were stored when the site shared them otherwise.
        """
        site = _site(document)
        before = self.sites.named(site.name)
        gone = set() if before is None else set(before.hosts) - set(site.hosts)
        owners = {
            other.name
            for other in self.sites.all()
            if other.name != site.name and set(other.hosts) & set(site.hosts)
        }
        changed = self.sites.put(site)
        await self._forget(owners | changed | ({site.name} if gone else set()), at)

    async def _forget(self, names: Set[str], at: Position) -> None:
        """Purge these sites, and those that were others when what a lasting store holds was stored."""
        if not self.pipeline.lasts:
            known = {}
        else:
            known = {site.name: shared_as(site) for site in self.sites.all()}
            names = names | self.pipeline.unlike(known)
        for name in names:
            await self.pipeline.purge(Purge("site", name), at)
        self.pipeline.know(known)

    async def _put_certificate(self, document: Document, *, new: bool) -> None:
        """Fetches the certificate that `document` names and shows it to its hosts; else the one kept."""
        if self.keys is None:
            return
        name, hosts = str(document["name"]), tuple(str(host) for host in document["hosts"])
        problem: Exception | None = None
        if self.fetch_certificate is not None:
            problem = await fetched(self.fetch_certificate, name, self.keys)
        pair = kept_pair(self.keys, name)
        try:
            self.certificates.put(name, hosts, pair)
        except BadCertificate as error:
            raise ValueError(f"certificate {name}: {problem or error}") from error
        if problem is not None and new:
            raise ValueError(f"certificate {name}: {problem}; the one of before is still shown")


def kept_pair(keys: Path, name: str) -> KeyPair:
    """Where the certificate `name` is kept in the directory `keys`."""
    return KeyPair(keys / f"{name}.cert.pem", keys / f"{name}.key.pem")


async def fetched(fetch: FetchCertificate, name: str, keys: Path) -> Exception | None:
    """Fetches the certificate `name` into the directory `keys`; what went wrong, if anything did."""
    try:
        _keep(kept_pair(keys, name), await fetch(name))
    except (OSError, ValueError, KeyError) as error:
        return error
    return None


def _keep(pair: KeyPair, material: Mapping[str, str]) -> None:
    pair.cert.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(pair.cert, material["certificate"].encode())
    write_private(pair.key, material["key"].encode())


def _site(document: Document) -> Site:
    try:
        return Site.model_validate(dict(document))
    except ValidationError as error:
        raise Refused(problems_of(error, Site)) from None


def _purge(body: Document) -> Purge:
    return PurgeBody.model_validate({key: body[key] for key in PurgeBody.model_fields if key in body}).purge()


def _parsed(model: type[Any], document: Document) -> Any:
    try:
        return model.model_validate(dict(document))
    except ValidationError as error:
        raise Refused(problems_of(error, model)) from None
