"""One client's conversation with the relay (NIP-01, 42, 45): its messages in, ours out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from origin.contract import Host
from origin.p2p.admission import NETWORK_SHARE, Rates, admit
from origin.p2p.event import AUTH, WRAP, Class, Event, Unacceptable, class_of, read, verify
from origin.p2p.filters import Filter, read_filter
from origin.p2p.hub import Hub
from origin.p2p.intake import Busy, Intake
from origin.p2p.settings import P2PSettings
from origin.p2p.store import Store

log = logging.getLogger("tepi.origin.p2p")

LONGEST_NAME = 64  # of a subscription (NIP-01)
AUTH_WINDOW = 600  # seconds (NIP-42)
MOST_UNSENT = 2000  # messages that a slow client may be behind


@dataclass(frozen=True, slots=True)
class Relay:
    """What all conversations share."""

    host: Host
    settings: P2PSettings
    store: Store
    intake: Intake
    hub: Hub
    rates: Rates


class Session:
    """`site` is the host name under which the client came, `network` where from."""

    def __init__(
        self, relay: Relay, socket: web.WebSocketResponse, site: str, network: str, challenge: str
    ) -> None:
        self._relay = relay
        self._socket = socket
        self._site = site
        self._network = network
        self._challenge = challenge
        self._authenticated: frozenset[str] = frozenset()
        self._subscriptions: set[str] = set()
        self._unsent: deque[str] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._own = Rates()

    async def talk(self) -> None:
        """Until the client goes, or is too slow."""
        self._say("AUTH", self._challenge)
        try:
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    await self._take(message.data)
                elif message.type is WSMsgType.BINARY:
                    self._say("NOTICE", "invalid: binary message, expected JSON text")
        finally:
            for name in self._subscriptions:
                self._relay.hub.leave(self, name)
            if self._sending is not None:
                self._sending.cancel()

    def hear(self, subscription: str, event: Event, raw: str) -> None:
        """A new event (see `hub.Listener`)."""
        if self._may_see(event):
            self._push(_event_message(subscription, raw))

    async def _take(self, text: str) -> None:
        try:
            parts = msgspec.json.decode(text, type=list[msgspec.Raw])
            verb = msgspec.json.decode(parts[0], type=str)
        except (msgspec.DecodeError, RecursionError, UnicodeError, IndexError):
            return self._say("NOTICE", 'invalid: expected a JSON array such as ["REQ", "name", {…}]')
        match verb, parts[1:]:
            case "EVENT", [one]:
                return await self._event(one)
            case "REQ" | "COUNT", [name, *filters]:
                return await self._ask(verb, name, filters)
            case "CLOSE", [name]:
                return self._close(name)
            case "AUTH", [one]:
                return self._authenticate(one)
            case _:
                return self._say(
                    "NOTICE",
                    f"invalid: {verb[:20]}: expected EVENT, REQ, COUNT, CLOSE or AUTH as NIP-01 says",
                )

    # EVENT and AUTH -------------------------------------------------------------------------------

    async def _event(self, text: msgspec.Raw) -> None:
        try:
            event = read(text)
        except Unacceptable as refusal:
            return self._say("OK", _claimed_id(text), False, str(refusal))
        try:
            self._pay(event)
            verify(event)
            listing = admit(event, self._relay.settings, self._relay.host.now(), self._authenticated)
            if class_of(event.kind) is Class.EPHEMERAL:
                self._relay.hub.tell(event)
                return self._say("OK", event.id, True, "")
            kept = await self._relay.intake.take(event, listing)
        except Unacceptable as refusal:
            return self._say("OK", event.id, False, str(refusal))
        except Busy:
            return self._say("OK", event.id, False, "rate-limited: more waits than can be stored, try again")
        except Exception:
            log.exception("event %s could not be stored", event.id)
            return self._say("OK", event.id, False, "error: it could not be stored, try again")
        if kept.new:
            self._relay.hub.tell(event)
        return self._say("OK", event.id, kept.accepted, kept.why)

    def _pay(self, event: Event) -> None:
        """Counts it against its network before the costly check, and against its key."""
        now, each = self._relay.host.now(), self._relay.settings.events_a_minute
        rates = self._relay.rates
        if not rates.take(f"net {self._network}", NETWORK_SHARE * each, now):
            raise Unacceptable(
                f"rate-limited: more than {NETWORK_SHARE * each} events a minute of one network"
            )
        if not rates.take(f"key {event.pubkey} {self._network}", each, now):
            raise Unacceptable(f"rate-limited: more than {each} events a minute of one key")

    def _authenticate(self, text: msgspec.Raw) -> None:
        try:
            event = read(text)
        except Unacceptable as refusal:
            return self._say("OK", _claimed_id(text), False, str(refusal))
        try:
            verify(event)
            _check_auth(event, self._challenge, self._site, self._relay.host.now())
        except Unacceptable as refusal:
            return self._say("OK", event.id, False, str(refusal))
        self._authenticated |= {event.pubkey}
        return self._say("OK", event.id, True, "")

    # REQ, COUNT and CLOSE -------------------------------------------------------------------------

    async def _ask(self, verb: str, name: msgspec.Raw, texts: Sequence[msgspec.Raw]) -> None:
        subscription = _name(name)
        if subscription is None:
            return self._say("NOTICE", f"invalid: {verb}: expected a name of 1 to {LONGEST_NAME} characters")
        try:
            filters = self._filters(subscription, verb, texts)
        except Unacceptable as refusal:
            self._forget(subscription)
            return self._say("CLOSED", subscription, str(refusal))
        try:
            await self._answer(verb, subscription, filters)
        except ConnectionError:
            raise
        except Exception:
            log.exception("%s failed", verb)
            self._forget(subscription)
            self._say("CLOSED", subscription, "error: it could not be looked up, try again")

    async def _answer(self, verb: str, subscription: str, filters: Sequence[Filter]) -> None:
        if verb == "COUNT":
            return self._say("COUNT", subscription, {"count": await self._relay.store.count(filters)})
        self._subscriptions.add(subscription)
        self._relay.hub.listen(self, subscription, filters)  # first: what comes meanwhile may come twice
        for raw in await self._relay.store.find(filters, self._relay.settings.answers):
            if self._may_see_stored(raw):
                await self._socket.send_str(_event_message(subscription, raw))
        return self._say("EOSE", subscription)

    def _filters(self, subscription: str, verb: str, texts: Sequence[msgspec.Raw]) -> list[Filter]:
        settings = self._relay.settings
        if not self._own.take("requests", settings.requests_a_minute, self._relay.host.now()):
            raise Unacceptable(f"rate-limited: more than {settings.requests_a_minute} requests a minute")
        if verb == "REQ" and len(self._subscriptions | {subscription}) > settings.subscriptions:
            raise Unacceptable(f"rate-limited: more than {settings.subscriptions} subscriptions")
        if not 1 <= len(texts) <= settings.filters:
            raise Unacceptable(f"invalid: got {len(texts)} filters, expected 1 to {settings.filters}")
        filters = [read_filter(text) for text in texts]
        private = any(asked.kinds is not None and WRAP in asked.kinds for asked in filters)
        if private and not self._authenticated:
            raise Unacceptable("auth-required: messages are given to their recipients alone (NIP-17, NIP-42)")
        if verb == "COUNT" and any(asked.kinds is None or WRAP in asked.kinds for asked in filters):
            raise Unacceptable("restricted: kinds: expected some of public events, which alone are counted")
        return filters

    def _close(self, name: msgspec.Raw) -> None:
        subscription = _name(name)
        if subscription is not None:
            self._forget(subscription)

    def _forget(self, subscription: str) -> None:
        self._subscriptions.discard(subscription)
        self._relay.hub.leave(self, subscription)

    def _may_see(self, event: Event) -> bool:
        """Wrapped messages are for those alone whom they name, and who have shown their keys (NIP-17)."""
        return event.kind != WRAP or not self._authenticated.isdisjoint(event.values("p"))

    def _may_see_stored(self, raw: str) -> bool:
        return f'"kind":{WRAP},' not in raw or self._may_see(read(raw.encode()))

    # Sending --------------------------------------------------------------------------------------

    def _say(self, *parts: Any) -> None:
        self._push(msgspec.json.encode(parts).decode())

    def _push(self, message: str) -> None:
        """A task sends while there is something to send: who only listens costs none."""
        self._unsent.append(message)
        if len(self._unsent) > MOST_UNSENT:
            self._unsent.clear()
            self._sending = asyncio.create_task(self._give_up())
        elif self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        with contextlib.suppress(ConnectionError):
            while self._unsent:
                await self._socket.send_str(self._unsent.popleft())

    async def _give_up(self) -> None:
        await self._socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=b"too slow")


def _event_message(subscription: str, raw: str) -> str:
    return f'["EVENT",{msgspec.json.encode(subscription).decode()},{raw}]'


def _name(text: msgspec.Raw) -> str | None:
    with contextlib.suppress(msgspec.DecodeError, UnicodeError):
        name = msgspec.json.decode(text, type=str)
        if 1 <= len(name) <= LONGEST_NAME:
            return name
    return None


class _Claim(msgspec.Struct):
    id: str = ""


def _claimed_id(text: msgspec.Raw) -> str:
    """The id that a broken event says it has, so that its sender knows which one is meant."""
    with contextlib.suppress(msgspec.DecodeError, RecursionError, UnicodeError):
        return msgspec.json.decode(text, type=_Claim).id[:64]
    return ""


def _check_auth(event: Event, challenge: str, site: str, now: float) -> None:
    """Raises Unacceptable unless a verified event answers `challenge` for this site (NIP-42)."""
    if event.kind != AUTH:
        raise Unacceptable(f"invalid: kind: got {event.kind}, expected {AUTH}")
    if abs(event.created_at - now) > AUTH_WINDOW:
        raise Unacceptable(f"invalid: created_at is more than {AUTH_WINDOW} seconds away")
    if event.first("challenge") != challenge:
        raise Unacceptable("invalid: challenge is not the one of this connection")
    try:
        meant = urlsplit(event.first("relay") or "").netloc
    except ValueError:
        meant = ""
    if meant.rpartition("@")[2].lower() != site.lower():
        raise Unacceptable(f"invalid: relay: got another one, expected this one at {site}")
