"""Sessions: opened from a basket at the catalogue's prices, with stock held, and ended in time."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from decimal import Decimal
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from edge.http.carts import Cart
from origin.checkout.answered import Answered, in_flight
from origin.checkout.order import CartRequest, ContactRequest, SessionRequest
from origin.checkout.pricing import Line, Shipping, Tax, TooMuch, Wanted, lines_of, total_of
from origin.checkout.problems import Problem, wrong
from origin.checkout.records import Payment, Session, line_document, payment_of, session_of, shown
from origin.checkout.settings import CheckoutSettings
from origin.checkout.states import PAYABLE
from origin.checkout.tables import payments, sessions
from origin.contract import (
    Answer,
    Catalogue,
    Hold,
    Host,
    Money,
    OutOfStock,
    Product,
    Rates,
    Statements,
    Stock,
)

log = logging.getLogger("tepi.checkout")

GRACE = 900.0  # seconds that stock is held beyond a session: news of a payment may be late


class Sessions:
    """The sessions of this origin."""

    def __init__(self, host: Host, settings: CheckoutSettings) -> None:
        self._host = host
        self._settings = settings
        self.answered = Answered(host)
        self._shipping = [
            Shipping(
                one.id,
                {str(language): name for language, name in one.names.items()},
                Money(one.price, ""),
                frozenset(one.countries),
                one.free_from,
            )
            for one in settings.shipping
        ]
        self._taxes = [
            Tax(
                {str(language): name for language, name in one.names.items()},
                Decimal(one.percent),
                frozenset(one.countries),
                one.included,
            )
            for one in settings.taxes
        ]

    # Opening --------------------------------------------------------------------------------------

    async def open(
        self, asked: SessionRequest, site: str | None, key: str, fingerprint: str, cart: Cart | None = None
    ) -> Answer:
        """A new session, or the answer that was given under `key` before. Raises Problem.

        While `cart` lives, its prices hold. It makes one session.
        """
        scope = f"session {site or ''}"
        before = await self.answered.before(scope, key, fingerprint)
        if before is not None:
            return before
        with self.answered.under_way(scope, key):
            before = await self.answered.before(scope, key, fingerprint)
            if before is not None:
                return before
            if cart is not None and await self._is_used(cart):
                raise _used()
            agreed = cart is not None and self._host.now() < cart.expires
            lines = await self._priced(asked, agreed=agreed)
            async with self.held(asked, self._settings.seconds + GRACE, cart) as holds:
                session = self._new(asked, site, lines, holds, None if cart is None else cart.id)
                said = shown(session, None, self._host.prefix)
                try:
                    async with self._host.write() as connection:
                        await self.answered.record(connection, scope, key, fingerprint, 201, said)
                        await connection.execute(insert(sessions).values(**_values(session)))
                        if session.state == "paid":
                            await self.tell(connection, "order.paid", session)
                except IntegrityError:
                    if cart is not None and await self._is_used(cart):
                        raise _used() from None
                    raise in_flight() from None
            if cart is not None:
                await self._let_go(cart)
        return Answer(
            said, status=201, fields={"Location": f"{self._host.prefix}/checkout/sessions/{session.id}"}
        )

    async def _is_used(self, cart: Cart) -> bool:
        async with self._host.read() as connection:
            found = await connection.execute(select(sessions.c.id).where(sessions.c.cart == cart.id))
            return found.first() is not None

    async def _let_go(self, cart: Cart) -> None:
        """The session holds the goods itself."""
        stock: Stock = self._host.use("stock")
        for line in cart.lines:
            await stock.release(line.hold)

    async def _priced(self, asked: SessionRequest, *, agreed: bool) -> tuple[Line, ...]:
        wanted = await self.wanted(asked, agreed=agreed)
        country = None if asked.shipping_address is None else asked.shipping_address.country
        try:
            return lines_of(wanted, self._sent(asked, country), self._taxes, country)
        except TooMuch as error:
            raise Problem(422, "invalid", str(error)) from None

    async def wanted(self, asked: CartRequest, *, agreed: bool = False) -> Sequence[Wanted]:
        """The basket at today's prices, or at those that it says where they are `agreed`. Raises Problem."""
        catalogue: Catalogue = self._host.use("catalogue")
        wanted, seen, changed, names = [], set(), [], {}
        for number, line in enumerate(asked.lines):
            if line.sku in seen:
                raise wrong(f"lines.{number}.sku", line.sku, "each product in one line")
            seen.add(line.sku)
            product = await catalogue.product(line.sku)
            if product is None:
                raise wrong(f"lines.{number}.sku", line.sku, "a product of this shop", kind="unknown-product")
            if agreed and line.price is not None:
                price = Money(line.price, asked.currency)
            else:
                price = await self._in(asked.currency, product)
            if line.price is not None and line.price != price.minor:
                changed.append({"sku": line.sku, "shown": line.price, "now": price.minor})
                names[line.sku] = dict(product.names)
            wanted.append(Wanted(line.sku, line.quantity, price, dict(product.names)))
        if changed:
            first = changed[0]
            raise Problem(
                409,
                "price-changed",
                f"{first['sku']}: the page said {first['shown']}, the price is {first['now']}",
                more={"currency": asked.currency, "prices": changed, "names": names},
            )
        return wanted

    async def _in(self, currency: str, product: Product) -> Money:
        price = product.price
        if price.currency == currency:
            return price
        try:
            rates: Rates = self._host.use("rates")
            return await rates.convert(price, currency)
        except LookupError:
            raise wrong("currency", currency, price.currency, kind="currency") from None

    def _sent(self, asked: SessionRequest | ContactRequest, country: str | None) -> Shipping | None:
        if not self._shipping:
            if asked.shipping is not None:
                raise wrong("shipping", asked.shipping, "nothing: this shop has no choice")
            return None
        fits = [one for one in self._shipping if not one.countries or country in one.countries]
        if asked.shipping is None and len(fits) == 1:
            return fits[0]
        chosen = next((one for one in fits if one.id == asked.shipping), None)
        if chosen is None:
            expected = " or ".join(one.id for one in fits) or f"a country other than {country}"
            raise wrong("shipping", asked.shipping or "", expected)
        return chosen

    @contextlib.asynccontextmanager
    async def held(
        self, asked: CartRequest, seconds: float, cart: Cart | None = None
    ) -> AsyncIterator[Sequence[Hold]]:
        """The basket's goods are held; given back where what they are for does not come to be.

        What can't be had beside `cart`'s own goods is taken from those.
        """
        stock: Stock = self._host.use("stock")
        held: list[Hold] = []
        try:
            for number, line in enumerate(asked.lines):
                try:
                    try:
                        held.append(await stock.hold(line.sku, line.quantity, seconds))
                    except OutOfStock:
                        if cart is None:
                            raise
                        await stock.release(cart.lines[number].hold)
                        held.append(await stock.hold(line.sku, line.quantity, seconds))
                except OutOfStock as error:
                    raise Problem(
                        409,
                        "out-of-stock",
                        f"lines.{number}.quantity: got {line.quantity}, expected at most {error.left}",
                        more={"sku": line.sku, "left": error.left},
                    ) from None
            yield held
        except BaseException:
            for hold in held:
                await stock.release(hold.id)
            raise

    def _new(
        self,
        asked: SessionRequest,
        site: str | None,
        lines: Sequence[Line],
        holds: Sequence[Hold],
        cart: str | None,
    ) -> Session:
        now, total = self._host.now(), total_of(lines)
        document: dict[str, Any] = asked.model_dump(mode="json", exclude={"lines", "currency"})
        document["lines"] = [line_document(line) for line in lines]
        return Session(
            id=f"cs_{secrets.token_hex(16)}",
            site=site,
            state="open" if total.minor else "paid",  # nothing to pay is paid
            currency=total.currency,
            total=total.minor,
            paid=0,
            refunded=0,
            document=document,
            holds=[asdict(hold) for hold in holds],
            stock="held",
            payment=None,
            created_at=now,
            changed_at=now,
            until=now + self._settings.seconds,
            cart=cart,
        )

    async def describe(self, id: str, said: ContactRequest) -> Session:
        """Who gets the goods; shipping and taxes follow, at the prices that were agreed. Raises Problem."""
        async with self._host.write() as connection:
            session, _ = await self.read(connection, id, lock=True)
            if session.state not in PAYABLE:
                raise Problem(409, "state", f"the session is {session.state}, expected open or failed")
            known = said.model_dump(mode="json", exclude_none=True)
            wanted = [
                Wanted(one["sku"], one["quantity"], Money(one["price"], session.currency), one["names"])
                for one in session.document["lines"]
                if one["kind"] == "item"
            ]
            country = None if said.shipping_address is None else said.shipping_address.country
            try:
                lines = lines_of(wanted, self._sent(said, country), self._taxes, country)
            except TooMuch as error:
                raise Problem(422, "invalid", str(error)) from None
            document = {**session.document, **known, "lines": [line_document(line) for line in lines]}
            total = total_of(lines).minor
            await connection.execute(
                update(sessions).where(sessions.c.id == id).values(document=document, total=total)
            )
            return replace(session, document=document, total=total)

    # Looking --------------------------------------------------------------------------------------

    async def find(self, id: str) -> tuple[Session, Payment | None]:
        """The session and the payment that counts. Raises Problem."""
        async with self._host.read() as connection:
            return await self.read(connection, id)

    async def read(
        self, connection: Statements, id: str, *, lock: bool = False
    ) -> tuple[Session, Payment | None]:
        """The same on a connection; `lock` keeps other transactions from changing it. Raises Problem."""
        asked = select(sessions).where(sessions.c.id == id)
        row = (await connection.execute(asked.with_for_update() if lock else asked)).first()
        if row is None:
            raise Problem(404, "no-session", "there is no such session")
        session = session_of(row)
        if session.payment is None:
            return session, None
        found = await connection.execute(select(payments).where(payments.c.id == session.payment))
        return session, payment_of(found.one())

    async def due(self, state: Sequence[str], most: int) -> Sequence[Session]:
        """Sessions in one of these states whose time is over."""
        async with self._host.read() as connection:
            found = await connection.execute(
                select(sessions)
                .where(sessions.c.state.in_(state), sessions.c.until <= self._host.now())
                .order_by(sessions.c.until)
                .limit(most)
            )
            return [session_of(row) for row in found]

    # Changing -------------------------------------------------------------------------------------

    async def write(self, connection: Statements, session: Session) -> None:
        """Stores what became of a session, all but what never changes."""
        await connection.execute(
            update(sessions)
            .where(sessions.c.id == session.id)
            .values(
                state=session.state,
                paid=session.paid,
                refunded=session.refunded,
                payment=session.payment,
                changed_at=session.changed_at,
                review=session.review,
                reviews=dict(session.reviews),
            )
        )

    async def end(self, connection: Statements, session: Session, state: Any, event: str) -> Session:
        """Ends a session that nothing was paid for."""
        ended = replace(session, state=state, changed_at=self._host.now())
        await self.write(connection, ended)
        await self.tell(connection, event, ended)
        return ended

    async def tell(
        self, connection: Statements, event: str, session: Session, more: Mapping[str, Any] | None = None
    ) -> None:
        """Emits what happened to `session` with the caller's transaction."""
        goods = [line for line in session.document["lines"] if line["kind"] == "item"]
        body = {
            "session": session.id,
            "site": session.site,
            "state": session.state,
            "currency": session.currency,
            "total": session.total,
            "paid": session.paid,
            "refunded": session.refunded,
            "reference": session.document.get("reference"),
            "payment": session.payment,
            "review": session.review,
            "goods": [
                {"sku": one["sku"], "quantity": one["quantity"], "price": one["price"]} for one in goods
            ],
            "shipping_address": session.document.get("shipping_address"),
            **(more or {}),
        }
        await self._host.events.emit(connection, event, body)


def _values(session: Session) -> dict[str, Any]:
    return {one.name: getattr(session, one.name) for one in fields(session)}


def _used() -> Problem:
    return Problem(409, "cart-used", "Cart-Token: this cart has its session already; ask for a new cart")
