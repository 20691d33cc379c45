"""The checkout as a plugin: its declaration and its routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel

from origin.checkout.order import SessionRequest, idempotency_key, parsed
from origin.checkout.problems import Problem
from origin.checkout.records import shown
from origin.checkout.sessions import Sessions
from origin.checkout.settings import CheckoutSettings
from origin.checkout.shelf import Shelf
from origin.contract import (
    GET,
    POST,
    Answer,
    Call,
    Handler,
    Hearer,
    Host,
    Plugin,
    PluginDefaults,
    Route,
    Task,
)

HERE = Path(__file__).parent
EXPIRE_EVERY = 5.0
FORGET_EVERY = 600.0
EVENTS = (
    "order.authorized", "order.paid", "order.failed", "order.expired", "order.cancelled", "order.refunded",
    "order.short",
)  # fmt: skip


@dataclass(slots=True)
class Checkout(PluginDefaults):
    """From a basket to a paid order."""

    name: ClassVar[str] = "checkout"
    settings: ClassVar[type[BaseModel]] = CheckoutSettings
    sessions: Sessions = field(init=False)
    _shelf: Shelf = field(init=False)
    _host: Host = field(init=False)

    async def start(self, host: Host) -> None:
        settings = host.settings
        assert isinstance(settings, CheckoutSettings)
        self._host = host
        self.sessions = Sessions(host, settings)
        self._shelf = Shelf(host, self.sessions)

    def migrations(self) -> Path:
        """Sessions, payments and what belongs to them."""
        return HERE / "migrations"

    def emits(self) -> Iterable[str]:
        """What becomes of orders."""
        return EVENTS

    def hears(self) -> Mapping[str, Hearer]:
        """Its own news: held goods are settled after the fact, at least once."""
        return {
            "order.authorized": self._shelf.sell,
            "order.paid": self._shelf.sell,
            "order.expired": self._shelf.give_back,
            "order.cancelled": self._shelf.give_back,
        }

    def tasks(self) -> Iterable[Task]:
        """Sessions end in time, wherever the origin was meanwhile."""
        yield Task("expire sessions", EXPIRE_EVERY, self._expire)
        yield Task("forget answered requests", FORGET_EVERY, self.sessions.answered.forget)

    def routes(self) -> Iterable[Route]:
        """The API under the commerce prefix."""
        yield POST("/checkout/sessions", refusing(self._open))
        yield GET("/checkout/sessions/{id}", refusing(self._show))
        yield POST("/checkout/sessions/{id}/cancel", refusing(self._cancel))

    async def _open(self, call: Call) -> Answer:
        key = idempotency_key(call.request.headers.get("Idempotency-Key"))
        asked, fingerprint = parsed(SessionRequest, await call.request.read())
        return await self.sessions.open(asked, call.visitor.site, key, fingerprint)

    async def _show(self, call: Call) -> Answer:
        session, payment = await self.sessions.find(call.match["id"])
        return Answer(shown(session, payment, self._host.prefix))

    async def _cancel(self, call: Call) -> Answer:
        async with self._host.write() as connection:
            session, payment = await self.sessions.read(connection, call.match["id"], lock=True)
            if session.state not in ("open", "failed", "cancelled"):
                raise Problem(409, "state", f"the session is {session.state}, expected open or failed")
            if session.state != "cancelled":
                session = await self.sessions.end(connection, session, "cancelled", "order.cancelled")
        return Answer(shown(session, payment, self._host.prefix))

    async def _expire(self) -> None:
        while due := await self.sessions.due(("open", "failed"), 50):
            for one in due:
                async with self._host.write() as connection:
                    session, _ = await self.sessions.read(connection, one.id, lock=True)
                    if session.state in ("open", "failed"):
                        await self.sessions.end(connection, session, "expired", "order.expired")


def refusing(handler: Callable[[Call], Awaitable[Answer]]) -> Handler:
    """`handler`, its refusals answered as problem documents."""

    async def handle(call: Call) -> Answer:
        try:
            return await handler(call)
        except Problem as problem:
            return problem.answer()

    return handle


_: type[Plugin] = Checkout
