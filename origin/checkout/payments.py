"""Payments: written down before a provider is asked, and moved on by what it says, however often."""

from __future__ import annotations

import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import fields, replace
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from origin.checkout.accounts import Accounts
from origin.checkout.answered import in_flight
from origin.checkout.assessing import Blocked, assessed, held_for, recognised
from origin.checkout.books import book, ledger_of
from origin.checkout.browser import Browser
from origin.checkout.order import PaymentRequest
from origin.checkout.problems import Problem, wrong
from origin.checkout.progress import step, with_reservation
from origin.checkout.providers.contract import Charge, Declined, Order, Unanswered, Unavailable
from origin.checkout.records import Payment, Session, payment_of, session_of, shown
from origin.checkout.routing import Wish
from origin.checkout.sessions import Sessions
from origin.checkout.settings import CheckoutSettings
from origin.checkout.states import PAYABLE
from origin.checkout.tables import payments, refunds, sessions
from origin.contract import Answer, Host, Money, Statements

log = logging.getLogger("tepi.checkout")

SHORTLY = 2.0
ASKING = 30.0  # seconds after which a request to a provider is surely over
TWICE = "paid twice"  # why a refund is owed
MANUAL = ("card", "paypal")  # what can be authorized first and captured later


class Payments:
    """Begins, moves on and ends payments."""

    def __init__(self, host: Host, settings: CheckoutSettings, kept: Sessions, accounts: Accounts) -> None:
        self._host = host
        self._settings = settings
        self._sessions = kept
        self._accounts = accounts

    # Beginning ------------------------------------------------------------------------------------

    async def begin(
        self, id: str, asked: PaymentRequest, browser: Browser, return_url: str, key: str, fingerprint: str
    ) -> Answer:
        """Begins to pay a session, or says again what was answered under `key`. Raises Problem."""
        scope = f"payment {id}"
        before = await self._sessions.answered.before(scope, key, fingerprint)
        if before is not None and before.status:
            return before
        with self._sessions.answered.under_way(scope, key):
            if before is None:
                await self._payable(id)
                await self._ask_in_turn(id, asked, browser, return_url, (scope, key, fingerprint))
            session, payment = await self._sessions.find(id)
            said = shown(session, payment, self._host.prefix)
            async with self._host.write() as connection:
                await self._sessions.answered.complete(connection, scope, key, 201, said)
        return Answer(said, status=201)

    async def _payable(self, id: str) -> None:
        """A session under way is freed for another attempt, if the first one can be ended. Raises Problem."""
        session, payment = await self._sessions.find(id)
        if session.state == "pending" and payment is not None:
            try:
                await self.let_go(payment)
            except (Unavailable, Unanswered):
                raise Problem(
                    409,
                    "under-way",
                    "the payment that was begun can't be ended now; ask again",
                    retry_after=5,
                ) from None

    async def _ask_in_turn(
        self,
        id: str,
        asked: PaymentRequest,
        browser: Browser,
        return_url: str,
        request: tuple[str, str, str],
    ) -> None:
        session, _ = await self._sessions.find(id)
        wish = Wish(asked.method, asked.channel, Money(session.total, session.currency), session.country)
        names = self._accounts.order(wish)
        if not names:
            raise self._not_offered(session, asked)
        for turn, name in enumerate(names):
            payment = self._new(session, name, asked, return_url, request, turn)
            challenge = await self._write_ahead(payment, browser, request if turn == 0 else None)
            try:
                await self.ask(session, payment, challenge=challenge)
                return
            except Unavailable as error:
                log.warning("%s can't take %s: %s", name, payment.id, error)
                await self._failed(payment, str(error))
            except Unanswered as error:
                log.warning("%s may have taken %s: %s", name, payment.id, error)
                await self.soon(payment)  # it alone is asked again, with the same key
                return
            except Declined as error:
                await self._failed(payment, str(error))
                raise Problem(402, "declined", "the payment was declined; choose another method") from None
        raise Problem(503, "no-provider", "no provider can take payments now", retry_after=30)

    def _not_offered(self, session: Session, asked: PaymentRequest) -> Problem:
        offered = self._accounts.methods(session.currency)
        channels = offered.get(asked.method)
        if channels:
            return wrong("channel", asked.channel or "", " or ".join(channels), kind="method")
        return wrong(
            "method", asked.method, " or ".join(offered) or "none: no provider is set up", kind="method"
        )

    def _new(
        self,
        session: Session,
        provider: str,
        asked: PaymentRequest,
        return_url: str,
        request: tuple[str, str, str],
        turn: int,
    ) -> Payment:
        scope, key, _ = request
        name = hashlib.sha256(f"{scope}\0{key}\0{turn}\0{session.created_at}".encode()).hexdigest()[:24]
        now = self._host.now()
        return Payment(
            id=f"py{name}",
            session=session.id,
            provider=provider,
            method=asked.method,
            channel=asked.channel,
            reference=None,
            state="open",
            currency=session.currency,
            amount=session.total,
            captured=0,
            refunded=0,
            action=None,
            reason="",
            return_url=return_url,
            created_at=now,
            changed_at=now,
            next_at=now + ASKING,
            tries=0,
            fields=asked.fields,
        )

    async def _write_ahead(
        self, payment: Payment, browser: Browser, request: tuple[str, str, str] | None
    ) -> bool:
        """Notes the attempt before anybody is asked; whether 3-D Secure must be. Raises Problem."""
        try:
            async with self._host.write() as connection:
                session, _ = await self._sessions.read(connection, payment.session, lock=True)
                if session.state not in PAYABLE and (request is not None or session.state != "pending"):
                    raise Problem(409, "state", f"the session is {session.state}, expected open or failed")
                if session.until <= self._host.now():
                    raise Problem(409, "state", "the session's time is over")
                verdict = await assessed(self._host, connection, session, payment, browser)
                blocked = session.review == "rejected" or (verdict is not None and verdict.action == "block")
                if not blocked:  # of a blocked attempt nothing but the verdict is kept
                    await self._begin(connection, held_for(session, verdict), payment, request)
        except IntegrityError:
            raise in_flight() from None
        if blocked:
            raise Blocked
        return verdict is not None and verdict.challenge

    async def _begin(
        self,
        connection: Statements,
        session: Session,
        payment: Payment,
        request: tuple[str, str, str] | None,
    ) -> None:
        await connection.execute(insert(payments).values(**_values(payment)))
        now = self._host.now()
        await self._sessions.write(
            connection, replace(session, state="pending", payment=payment.id, changed_at=now)
        )
        if request is not None:
            await self._sessions.answered.record(connection, *request, 0, {})

    async def ask(self, session: Session, payment: Payment, *, challenge: bool = False) -> Session:
        """Has the provider begin, or begin again with the same key. Raises what providers do."""
        provider = self._accounts[payment.provider]
        order = replace(self.order_of(session, payment), challenge=challenge)
        async with self.answering(payment.provider):
            charge = await provider.create(order, payment.id)
        return await self.apply(payment.id, charge)

    def order_of(self, session: Session, payment: Payment) -> Order:
        """What a provider is told."""
        document = session.document
        address = document.get("billing_address") or document.get("shipping_address") or {}
        items = [line for line in document["lines"] if line["kind"] == "item"]
        first = items[0]["names"].get(session.language) or next(iter(items[0]["names"].values()))
        return Order(
            payment=payment.id,
            amount=Money(payment.amount, payment.currency),
            method=payment.method,  # type: ignore[arg-type]  # it was one when it was stored
            channel=payment.channel,
            description=first if len(items) == 1 else f"{first} +{len(items) - 1}",
            email=document.get("email"),
            name=address.get("name"),
            phone=address.get("phone"),
            country=address.get("country"),
            language=session.language,
            return_url=payment.return_url,
            until=session.until,
            capture=self._settings.capture == "at_once" or payment.method not in MANUAL,
            fields=payment.fields,
        )

    @contextlib.asynccontextmanager
    async def answering(self, name: str) -> AsyncIterator[None]:
        """Counts for `name`'s breaker whether it answers."""
        try:
            yield
        except (Unavailable, Unanswered):
            self._accounts.failed(name)
            raise
        except Declined:
            self._accounts.worked(name)
            raise
        self._accounts.worked(name)

    async def _failed(self, payment: Payment, reason: str) -> None:
        await self.apply(payment.id, Charge("", "failed", Money(0, payment.currency), reason=reason[:500]))

    # Moving on ------------------------------------------------------------------------------------

    async def apply(self, payment: str, charge: Charge) -> Session:
        """Takes in what is true of a payment, in a transaction of its own."""
        async with self._host.write() as connection:
            return await self.take(connection, payment, charge)

    async def take(self, connection: Statements, id: str, charge: Charge) -> Session:
        """The same in the caller's transaction: states, books and news at once. LookupError: unknown."""
        asked = select(payments).where(payments.c.id == id)
        row = (await connection.execute(asked)).first()
        if row is None:
            raise LookupError(f"no payment {id}")
        locked = select(sessions).where(sessions.c.id == row.session).with_for_update()
        session = session_of((await connection.execute(locked)).one())
        payment = payment_of((await connection.execute(asked)).one())
        done = select(func.coalesce(func.sum(refunds.c.amount), 0)).where(
            refunds.c.payment == id, refunds.c.state == "done"
        )
        given_back = int((await connection.execute(done)).scalar_one())
        made = step(session, payment, charge, self._host.now(), given_back)
        if charge.card is not None and made.session.payment == id:
            judged = await recognised(self._host, connection, made.session, charge.card)
            made = replace(made, session=judged)
        ledger = ledger_of(self._host)
        if ledger is not None:
            made = with_reservation(payment, made)
        if made.payment != payment:
            await connection.execute(
                update(payments).where(payments.c.id == id).values(**_values(made.payment))
            )
        if made.session != session:
            await self._sessions.write(connection, made.session)
        if ledger is not None:
            await book(ledger, connection, made)
        for event in made.events:
            await self._sessions.tell(
                connection, event, made.session, {"provider": payment.provider, "method": payment.method}
            )
        if made.surplus:
            log.error("%s was paid twice: %s of %s goes back", session.id, made.captured, id)
            await self._owe(connection, made.payment, made.captured)
        await self._learn(connection, made.session, made.events)
        return made.session

    async def _owe(self, connection: Statements, payment: Payment, amount: int) -> None:
        now = self._host.now()
        await connection.execute(
            insert(refunds).values(
                id=f"rf{payment.id[2:]}",
                payment=payment.id,
                amount=amount,
                state="asked",
                reason=TWICE,
                created_at=now,
                changed_at=now,
            )
        )

    async def _learn(self, connection: Statements, session: Session, events: tuple[str, ...]) -> None:
        outcomes = {"order.paid": "paid", "order.failed": "failed", "order.refunded": "refunded"}
        told = [outcomes[event] for event in events if event in outcomes]
        if told:
            with contextlib.suppress(LookupError):
                await self._host.use("risk").learn(connection, session.id, told[-1])

    async def soon(self, payment: Payment) -> None:
        """Its provider is asked again shortly."""
        async with self._host.write() as connection:
            await connection.execute(
                update(payments).where(payments.c.id == payment.id).values(next_at=self._host.now() + SHORTLY)
            )

    async def look(self, payment: Payment, returned: Mapping[str, str] | None = None) -> Session:
        """Asks the provider what is true now; `returned` is what a visitor came back with.

        Raises what providers do.
        """
        provider = self._accounts[payment.provider]
        async with self.answering(payment.provider):
            if payment.reference is not None and returned is not None:
                session, _ = await self._sessions.find(payment.session)
                order = self.order_of(session, payment)
                charge: Charge | None = await provider.confirm(
                    order, payment.reference, returned, f"{payment.id}-confirm"
                )
            else:
                charge = await provider.status(payment.id, payment.reference)
        if charge is None and payment.reference is not None and payment.action is not None:
            session, _ = await self._sessions.find(payment.session)
            return session  # its page or its fields are there, and nobody has used them yet
        if charge is None:
            charge = Charge(
                "", "failed", Money(0, payment.currency), reason="the provider knows no such payment"
            )
        return await self.apply(payment.id, charge)

    async def let_go(self, payment: Payment) -> Session:
        """Ends a payment that is not paid, or learns that it was paid. Raises Unavailable, Unanswered."""
        provider = self._accounts[payment.provider]
        if payment.reference is None:
            return await self.look(payment)
        try:
            async with self.answering(payment.provider):
                charge = await provider.cancel(payment.reference, f"{payment.id}-cancel")
        except Declined:
            return await self.look(payment)
        return await self.apply(payment.id, charge)

    async def capture(self, id: str, amount: int | None) -> Session:
        """Takes what was authorized, or a part of it. Raises Problem."""
        session, payment = await self._sessions.find(id)
        if session.state != "authorized" or payment is None:
            raise Problem(409, "state", f"the session is {session.state}, expected authorized")
        if session.review not in ("", "approved"):
            raise Problem(409, "review", f"the order's review is {session.review}, expected approved")
        wanted = payment.amount if amount is None else amount
        if not 0 < wanted <= payment.amount:
            raise wrong("amount", wanted, f"1 to {payment.amount}")
        assert payment.reference is not None
        try:
            async with self.answering(payment.provider):
                charge = await self._accounts[payment.provider].capture(
                    payment.reference, Money(wanted, payment.currency), f"{payment.id}-capture"
                )
        except (Unavailable, Unanswered) as error:
            raise Problem(
                503, "no-answer", f"{payment.provider}: {error}; ask again", retry_after=5
            ) from None
        except Declined as error:
            raise Problem(409, "declined", f"{payment.provider}: {error}") from None
        return await self.apply(payment.id, charge)


def _values(payment: Payment) -> dict[str, Any]:
    return {one.name: getattr(payment, one.name) for one in fields(payment)}
