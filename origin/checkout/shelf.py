"""What becomes of held goods: sold once an order is placed, for sale again once it is over."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from sqlalchemy import update

from origin.checkout.records import Session
from origin.checkout.sessions import Sessions
from origin.checkout.states import OVER
from origin.checkout.tables import sessions
from origin.contract import Event, Host, OutOfStock, Stock

log = logging.getLogger("tepi.checkout")

AGAIN = 60.0  # seconds that goods are held anew for an order that was paid after its time


class Shelf:
    """Settles the holds of orders, however often it is asked to."""

    def __init__(self, host: Host, kept: Sessions) -> None:
        self._host = host
        self._sessions = kept

    async def sell(self, session: Session) -> None:
        """The order is placed: what is held for it is sold, or taken anew if it was given back."""
        if session.stock not in ("held", "released"):
            return
        stock: Stock = self._host.use("stock")
        missing = [
            hold
            for hold in session.holds
            if not await self._sold(stock, hold, anew=session.stock == "released")
        ]
        await self._settled(session, "short" if missing else "committed", missing)

    async def give_back(self, event: Event) -> None:
        """The order is over: what is held for it is for sale again."""
        session, _ = await self._sessions.find(str(event.body["session"]))
        if session.state in OVER:
            await self.free(session)

    async def free(self, session: Session) -> None:
        """What is still held for it is for sale again."""
        if session.stock != "held":
            return
        stock: Stock = self._host.use("stock")
        for hold in session.holds:
            await stock.release(str(hold["id"]))
        await self._settled(session, "released", [])

    async def _sold(self, stock: Stock, hold: Mapping[str, Any], *, anew: bool) -> bool:
        if not anew:
            try:
                await stock.commit(str(hold["id"]))
            except LookupError:
                if self._host.now() < hold["until"]:
                    return True  # it was committed, and the origin ended before that was written down
            else:
                return True
        try:
            taken = await stock.hold(str(hold["sku"]), int(hold["quantity"]), AGAIN)
        except OutOfStock:
            return False
        await stock.commit(taken.id)
        return True

    async def _settled(self, session: Session, how: str, missing: list[Mapping[str, Any]]) -> None:
        async with self._host.write() as connection:
            await connection.execute(update(sessions).where(sessions.c.id == session.id).values(stock=how))
            if missing:
                goods = [{"sku": hold["sku"], "quantity": hold["quantity"]} for hold in missing]
                await self._sessions.tell(connection, "order.short", session, {"missing": goods})
                log.error("%s is paid, and there is too little of %s", session.id, goods)
