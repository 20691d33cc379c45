"""Orders whose goods wait for a person: released once he approves, else ended or paid back."""

from __future__ import annotations

import logging

from sqlalchemy import select

from origin.checkout.api import Api
from origin.checkout.assessing import answered
from origin.checkout.order import RefundRequest
from origin.checkout.problems import Problem
from origin.checkout.records import Session
from origin.checkout.refunding import Refunds
from origin.checkout.sessions import Sessions
from origin.checkout.shelf import Shelf
from origin.checkout.states import OVER, SETTLED
from origin.checkout.tables import sessions
from origin.contract import Event, Host

log = logging.getLogger("tepi.checkout")

BATCH = 50
REFUSED = "risk review"  # the key and the reason of the refund


class Reviews:
    """Hears of orders and of reviewers' answers, at least once each, in any order."""

    def __init__(self, host: Host, kept: Sessions, shelf: Shelf, api: Api, back: Refunds) -> None:
        self._host = host
        self._sessions = kept
        self._shelf = shelf
        self._api = api
        self._refunds = back

    async def placed(self, event: Event) -> None:
        """The order is authorized or paid: its goods are sold, unless a review holds them back."""
        session, _ = await self._sessions.find(str(event.body["session"]))
        match session.review:
            case "" | "approved":
                await self._shelf.sell(session)
            case "open":
                log.info("%s is %s; its goods wait for a review", session.id, session.state)
            case "rejected":
                await self._refuse(session)

    async def reviewed(self, event: Event) -> None:
        """A person decided. An order that is not the checkout's is left alone."""
        id, decision = str(event.body["order"]), str(event.body["decision"])
        async with self._host.write() as connection:
            try:
                before, _ = await self._sessions.read(connection, id, lock=True)
            except Problem:
                return
            session = answered(before, decision, approved=bool(event.body["approved"]))
            if session != before:
                await self._sessions.write(connection, session)
        if session.review == "rejected":
            await self._refuse(session)
        elif session.review == "approved" and session.state in ("authorized", "paid", "partially_refunded"):
            await self._shelf.sell(session)

    async def refuse_again(self) -> None:
        """Refuses what could not be refused when it was rejected: a provider did not answer."""
        async with self._host.read() as connection:
            found = await connection.execute(
                select(sessions.c.id)
                .where(sessions.c.review == "rejected", sessions.c.state.not_in((*sorted(OVER), "refunded")))
                .limit(BATCH)
            )
            names = list(found.scalars())
        for name in names:
            session, _ = await self._sessions.find(name)
            await self._refuse(session)

    async def _refuse(self, session: Session) -> None:
        """Ends the order at its provider, or gives its money back; its goods are for sale again."""
        try:
            if session.state not in SETTLED and session.state not in OVER:
                session, _ = await self._api.cancel(session.id)
        except Problem as problem:  # it was paid meanwhile, or the provider does not answer
            log.warning("%s is rejected and can't be cancelled: %s", session.id, problem.detail)
            session, _ = await self._sessions.find(session.id)
        try:
            if session.state in ("paid", "partially_refunded") and session.paid:
                asked = RefundRequest(amount=None, reason=REFUSED)
                session, state = await self._refunds.refund(session.id, asked, REFUSED)
                log.info("%s is rejected; its refund is %s", session.id, state)
        except Problem as problem:  # all of it is on its way back already
            log.warning("%s is rejected: %s", session.id, problem.detail)
        await self._shelf.free(session)
