"""The settings by which a node knows its neighbours, and what they are to the node's parts."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from edge.notation import Address, Listen, Many, Name, Seconds, Table
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
    """Which nodes are asked before an origin: the key's owner in this PoP, and the site's shield PoP."""

    pop: Name = Field(description="The PoP that this node belongs to.")
    listen: Listen = Field(description="Where this node listens for its peers.")
    certificate: str = Field(
        description="PEM file: what this node shows to peers; its common name is `name`."
    )
    key: str = Field(description="PEM file: the certificate's private key.")
    authority: str = Field(description="PEM file: the authority that vouches for every node of the fleet.")
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

    def check_name(self, own: str) -> None:
        """Raises ValueError where peers can't know this node by its name."""
        if not own:
            raise ValueError("a name of this node beside it, since peers know each other by name")
        if any(peer.name == own for peer in self.peers):
            raise ValueError(f"peers other than this node itself, which is {own}")

    def check_shields(self, shields: Iterable[tuple[str, str | None]]) -> None:
        """Raises ValueError where a site's shield is a PoP that nobody belongs to."""
        pops = {self.pop, *(peer.pop for peer in self.peers)}
        for site, shield in shields:
            if shield is not None and shield not in pops:
                raise ValueError(f"a shield of {site} among {', '.join(sorted(pops))}, not {shield}")

    def fleet(self, name: str) -> Fleet:
        """The fleet as the node called `name` is told of it."""
        return Fleet(name, self.pop, tuple(Peer(peer.name, peer.pop, peer.address) for peer in self.peers))

    def client_context(self) -> ssl.SSLContext:
        """TLS towards peers: both sides show a certificate. Raises OSError and ssl.SSLError."""
        context = ssl.create_default_context(cafile=self.authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.certificate, self.key)
        return context

    def server_context(self) -> ssl.SSLContext:
        """TLS of the listener for peers. Raises OSError and ssl.SSLError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.certificate, self.key)
        context.load_verify_locations(self.authority)
        context.verify_mode = ssl.CERT_REQUIRED
        return context
