"""Peer to peer as a plugin: its declaration, the relay's address, and the listings' pages."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import click
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geo.lookup import shipped_centres
from origin.contract import Answer, CachePolicy, Call, Host, Page, Plugin, PluginDefaults, Route, Socket, Task
from origin.p2p.admission import MOST_TAGS, Rates, network_of
from origin.p2p.cases import Action, Moderation, NoSuchCase
from origin.p2p.commands import p2p
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


class Decision(BaseModel):
    """What a person decided about a listing; the reason is told to its author."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    action: Action
    reason: str = Field(min_length=1, max_length=200)
    by: str = Field("", max_length=120)  # where no user is signed


@dataclass(slots=True)
class P2P(PluginDefaults):
    """Members trade directly: a relay for their signed listings and messages, and pages that show them."""

    name: ClassVar[str] = "p2p"
    settings: ClassVar[type[BaseModel]] = P2PSettings
    relay: Relay = field(init=False)
    _shop: Shop = field(init=False)
    _media: Media = field(init=False)
    _moderation: Moderation = field(init=False)

    async def start(self, host: Host) -> None:
        """Opens the relay."""
        settings = host.settings
        assert isinstance(settings, P2PSettings)
        store = Store(host)
        self.relay = Relay(host, settings, store, Intake(host, store), Hub(), Rates())
        self._moderation = Moderation(host)
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
        """What waits for a person, and his decision, as JSON."""
        titles = {"en": "Reports", "id": "Laporan"}
        yield Page("/cases", titles, self._cases, PERMISSION)
        yield Page("/cases/{ref}", titles, self._decide, PERMISSION, method="POST")

    def commands(self) -> Iterable[click.Command]:
        """`tepi origin p2p …`."""
        yield p2p

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

    async def _cases(self, _call: Call) -> Answer:
        return Answer({"waiting": await self._moderation.waiting()})

    async def _decide(self, call: Call) -> Answer:
        """A decision, durable before it is answered, with the purge of every page concerned."""
        try:
            asked = Decision.model_validate_json(await call.request.read())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = ".".join(str(step) for step in first["loc"]) or "document"
            return Answer({"detail": f"{path}: {first['msg']}"}, status=422)
        by, ref = call.user or asked.by, call.match["ref"]
        if not by:
            return Answer({"detail": "by: got nothing, expected who decided"}, status=422)
        try:
            async with self.relay.host.write() as connection:
                if asked.action == "takedown":
                    await self._moderation.open(connection, ref)
                address = await self._moderation.decide(connection, ref, asked.action, asked.reason, by)
                if asked.action == "takedown":
                    await self.relay.store.take_down(connection, address)
        except NoSuchCase as error:
            return Answer({"detail": str(error)}, status=404)
        return Answer({"ref": ref, "action": asked.action})


_: type[Plugin] = P2P
