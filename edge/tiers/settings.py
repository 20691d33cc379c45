"""The settings by which a node knows its neighbours, and what they are to the node's parts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from edge.document.notation import Address, Listen, Many, Name, Seconds, Table
from edge.upstream.tiers import Fleet, Peer


class PeerTable(Table):
    """Another node of the fleet."""

    name: Name = Field(description="Its name, which its certificate bears as common name and as DNS name.")
    pop: Name = Field(description="The PoP that it belongs to.")
    address: Listen = Field(description="Where it listens for peers.")

    @field_validator("address")
    @classmethod
    def _can_be_reached(cls, address: Address) -> Address:
        if not address.port or address.host in ("0.0.0.0", "::"):  # noqa: S104
            raise ValueError("the address and port at which the node can be reached")
        return address


class TiersTable(Table):
    """Which nodes are asked before an origin: the key's owner in this PoP, and the site's shield PoP.

    With [control] it says only where to listen, on every node at the same port; the rest comes from there.
    """

    listen: Listen = Field(description="Where this node listens for its peers.")
    pop: Name | None = Field(None, description="The PoP that this node belongs to.")
    certificate: str = Field(
        "", description="PEM file: what this node shows to peers; its common name is `name`."
    )
    key: str = Field("", description="PEM file: the certificate's private key.")
    authority: str = Field(
        "", description="PEM file: the authority that vouches for every node of the fleet."
    )
    connect: Seconds = Field(1.0, description="Seconds until a connection to a peer stands.")
    patience: Seconds = Field(
        2.0, description="Seconds until a peer says anything at all; silent ones are left out for a while."
    )
    peers: Annotated[tuple[PeerTable, ...], Many] = Field((), description="The fleet's other nodes.")

    @field_validator("peers")
    @classmethod
    def _are_told_apart(cls, peers: tuple[PeerTable, ...], others: ValidationInfo) -> tuple[PeerTable, ...]:
        names = [peer.name for peer in peers]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"nodes with names of their own; {name} is there twice")
        return peers

    def check(self, own: str, *, control: bool) -> None:
        """Raises ValueError where a node called `own`, with or without a control, can't go by these."""
        given = [word for word in ("pop", "certificate", "key", "authority", "peers") if getattr(self, word)]
        if control:
            if given:
                raise ValueError(f"no {given[0]}, since with [control] it comes from there")
            if not self.listen.port:
                raise ValueError("a port in listen, the same on every node, since there is a [control]")
            return
        lacking = [word for word in ("pop", "certificate", "key", "authority") if word not in given]
        if lacking:
            raise ValueError(f"{lacking[0]} too, since there is no [control]")
        if not own:
            raise ValueError("a name of this node beside it, since peers know each other by name")
        if any(peer.name == own for peer in self.peers):
            raise ValueError(f"peers other than this node itself, which is {own}")

    def check_shields(self, shields: Iterable[tuple[str, str | None]]) -> None:
        """Raises ValueError where a site's shield is a PoP that nobody belongs to."""
        pops = {str(self.pop), *(peer.pop for peer in self.peers)}
        for site, shield in shields:
            if shield is not None and shield not in pops:
                raise ValueError(f"a shield of {site} among {', '.join(sorted(pops))}, not {shield}")

    def fleet(self, name: str) -> Fleet:
        """The fleet as the node called `name` is told of it."""
        return Fleet(
            name, str(self.pop), tuple(Peer(peer.name, peer.pop, peer.address) for peer in self.peers)
        )


def pop_of(place: Mapping[str, Any]) -> str:
    """The PoP of a node that stands at `place`: its city in lower-case letters, digits and hyphens."""
    plain = unicodedata.normalize("NFKD", str(place.get("city", ""))).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower())) or "nowhere"


def fleet_told(name: str, nodes: Iterable[Mapping[str, Any]], port: int) -> Fleet:
    """The fleet as control tells the node called `name` of it; each listens for its peers at `port`."""
    own, peers = "", []
    for node in nodes:
        place, addresses = node.get("place"), node.get("addresses")
        if node.get("role") != "edge" or not isinstance(place, dict) or not addresses:
            continue
        if node.get("name") == name:
            own = pop_of(place)
        else:
            peers.append(Peer(str(node.get("name")), pop_of(place), Address(str(addresses[0]), port)))
    return Fleet(name, own, tuple(peers))
