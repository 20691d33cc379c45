"""Peer to peer as a plugin: its declaration, the relay's address, and the listings' pages."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from aiohttp import web
from pydantic import BaseModel

from geo.lookup import shipped_centres
from origin.contract import Answer, CachePolicy, Call, Host, Page, Plugin, PluginDefaults, Route, Socket, Task
from origin.p2p.admission import MOST_TAGS, Rates, network_of
from origin.p2p.hub import Hub
from origin.p2p.intake import Intake
from origin.p2p.media import Media
from origin.p2p.session import LONGEST_NAME, Relay, Session
from origin.p2p.settings import P2PSettings
from origin.p2p.shop import Shop
from origin.p2p.store import Store

HERE = Path(__file__).parent
NIPS = [1, 9, 11, 13, 17, 40, 42, 45, 50, 59, 70, 99]
EXPIRE_EVERY = 30.0
PERMISSION = "p2p.moderate"
ANYBODY = {  # browsers of other sites may read it (NIP-11)
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Allow-Methods": "GET",
}


@dataclass(slots=True)
class P2P(PluginDefaults):
    """Members trade directly: a relay for their signed listings and messages, and pages that show them."""

    name: ClassVar[str] = "p2p"
    settings: ClassVar[type[BaseModel]] = P2PSettings
    relay: Relay = field(init=False)
    _shop: Shop = field(init=False)
    _media: Media = field(init=False)

    async def start(self, host: Host) -> None:
        """Opens the relay."""
        settings = host.settings
        assert isinstance(settings, P2PSettings)
        store = Store(host)
        self.relay = Relay(host, settings, store, Intake(host, store), Hub(), Rates())
        self._media = Media(host, settings)
        self._shop = Shop(host, settings, store, shipped_centres())

    async def stop(self) -> None:
        """What was taken in is stored."""
        await self.relay.intake.stop()

    def migrations(self) -> Path:
        """Events, tags, deletions, listings, words, pictures."""
        return HERE / "migrations"

    def tasks(self) -> Iterable[Task]:
        """What is over is forgotten (NIP-40)."""
        yield Task("expire events", EXPIRE_EVERY, self.relay.store.expire)

    def routes(self) -> Iterable[Route]:
        """Listings as pages and feeds, and their pictures."""
        yield from self._shop.routes()
        yield from self._media.routes()

    def sockets(self) -> Iterable[Socket]:
        """The relay."""
        yield Socket("/p2p/relay", self._talk, self._about, self.relay.settings.largest)

    def permissions(self) -> Iterable[str]:
        """Who may take listings down."""
        yield PERMISSION

    def pages(self) -> Iterable[Page]:
        """The takedown of one listing."""
        titles = {"en": "Takedown", "id": "Penurunan"}
        yield Page("/listings/{ref}/takedown", titles, self._take_down, PERMISSION, method="POST")

    async def _talk(self, call: Call, socket: web.WebSocketResponse) -> None:
        network = network_of(call.visitor.address)
        await Session(self.relay, socket, call.request.host, network, secrets.token_hex(16)).talk()

    async def _about(self, _call: Call) -> Answer:
        """What the relay is and allows (NIP-11)."""
        settings = self.relay.settings
        document = {
            "name": settings.title,
            "description": "Signed classified listings (NIP-99), kept and shown near their buyers.",
            "contact": settings.contact,
            "supported_nips": NIPS,
            "software": "tepi",
            "version": "0.1",
            "limitation": {
                "max_message_length": settings.largest,
                "max_subscriptions": settings.subscriptions,
                "max_filters": settings.filters,
                "max_limit": settings.answers,
                "max_subid_length": LONGEST_NAME,
                "max_event_tags": MOST_TAGS,
                "min_pow_difficulty": settings.work,
                "auth_required": False,
                "payment_required": False,
                "created_at_upper_limit": settings.ahead,
            },
            "retention": [{"kinds": sorted(settings.kinds)}],
        }
        policy = CachePolicy(seconds=settings.seconds, tags=("p2p-about",))
        return Answer(document, policy, content_type="application/nostr+json", fields=ANYBODY)

    async def _take_down(self, call: Call) -> Answer:
        ref = call.match["ref"]
        if not await self.relay.store.take_down(ref):
            return Answer(
                {"detail": f"ref: got {ref[:40]!r}, expected one of a listing that is shown"}, status=404
            )
        return Answer({"ref": ref, "taken_down": True})


_: type[Plugin] = P2P
