"""What payments and refunds are in double entry. Pure but for the call of the ledger."""

from __future__ import annotations

from dataclasses import dataclass, replace

from origin.checkout.progress import Step
from origin.checkout.records import Payment, Session
from origin.contract import About, Chart, Host, Ledger, Money, Posting, Statements


@dataclass(frozen=True, slots=True)
class Shares:
    """How an order's total divides, in minor units."""

    total: int
    shipping: int
    taxes: int

    def of(self, amount: int) -> tuple[int, int, int]:
        """The goods', shipping's and taxes' share of `amount`: they sum to it, and grow with it."""
        if self.total == 0:
            return amount, 0, 0
        shipping, taxes = self.shipping * amount // self.total, self.taxes * amount // self.total
        return amount - shipping - taxes, shipping, taxes


def shares_of(session: Session) -> Shares:
    """How `session` divides; taxes that prices include are taken out of goods and shipping."""
    goods = shipping = added = included = 0
    for line in session.document["lines"]:
        match line["kind"]:
            case "item":
                goods += line["amount"]
            case "shipping":
                shipping += line["amount"]
            case _ if line["included"]:
                included += line["amount"]
            case _:
                added += line["amount"]
    if goods + shipping:
        shipping -= included * shipping // (goods + shipping)
    return Shares(session.total, shipping, added + included)


def payment_postings(session: Session, payment: Payment, step: Step) -> list[Posting]:
    """Money that a provider took for the shop: what came in parts is booked as if it had come at once.

    A surplus earns nothing: it will be given back.
    """
    captured = step.captured
    clearing = Chart.clearing(payment.provider)
    if step.surplus:
        return _postings(payment.currency, (clearing, captured), (Chart.REFUNDS, -captured))
    shares, after = shares_of(session), step.payment.captured
    parts = zip(shares.of(after), shares.of(after - captured), strict=True)
    goods, shipping, taxes = (now - before for now, before in parts)
    return _postings(
        payment.currency,
        (clearing, captured),
        (Chart.SALES, -goods),
        (Chart.SHIPPING, -shipping),
        (Chart.TAXES, -taxes),
    )


def refund_postings(session: Session, payment: Payment, step: Step) -> list[Posting]:
    """Money that went back: of a whole refund, exactly what was booked."""
    clearing = Chart.clearing(payment.provider)
    if session.payment != payment.id:
        return _postings(payment.currency, (Chart.REFUNDS, step.refunded), (clearing, -step.refunded))
    shares, after = shares_of(session), step.payment.refunded
    taxes = shares.of(after)[2] - shares.of(after - step.refunded)[2]
    return _postings(
        payment.currency,
        (Chart.REFUNDS, step.refunded - taxes),
        (Chart.TAXES, taxes),
        (clearing, -step.refunded),
    )


def ledger_of(host: Host) -> Ledger | None:
    """The ledger, where there is one."""
    try:
        ledger: Ledger = host.use("ledger")
    except LookupError:
        return None
    return ledger


def takes_reservation(step: Step) -> bool:
    """Whether exactly what was reserved was taken; what differs is booked anew and the reservation voided."""
    whole = step.captured == step.payment.captured == step.payment.amount
    return step.released and whole and not step.surplus


async def book(ledger: Ledger, connection: Statements, step: Step) -> None:
    """Books what moved and what was set aside. Raises Unbookable."""
    session, payment = step.session, step.payment
    reference = payment.reference or payment.id
    reservation = f"authorization:{payment.id}:{payment.reserved}"
    paid = About("payment", session.id, payment.provider, payment.method, reference)
    memo = f"{payment.method} {reference}"
    if step.reserved:
        expected = replace(step, captured=payment.amount, payment=replace(payment, captured=payment.amount))
        await ledger.reserve(
            connection, reservation, payment_postings(session, payment, expected), memo, paid
        )
    if takes_reservation(step):
        await ledger.post_pending(connection, reservation)
    elif step.released:
        await ledger.void_pending(connection, reservation)
    if step.captured and not takes_reservation(step):
        id = f"payment:{payment.id}:{payment.captured}"
        await ledger.post(connection, id, payment_postings(session, payment, step), memo, paid)
    if step.refunded:
        await ledger.post(
            connection,
            f"refund:{payment.id}:{payment.refunded}",
            refund_postings(session, payment, step),
            f"refund of {reference}",
            About("refund", session.id, payment.provider, payment.method, reference),
        )
    if step.fee:
        about = About("fee", session.id, payment.provider, payment.method, reference)
        id, memo = f"fee:{payment.id}:{payment.fees}", f"fee of {reference}"
        await ledger.post(connection, id, fee_postings(payment, step), memo, about)


def fee_postings(payment: Payment, step: Step) -> list[Posting]:
    """What the provider kept."""
    clearing, fees = Chart.clearing(payment.provider), Chart.fees(payment.provider)
    return _postings(payment.currency, (fees, step.fee), (clearing, -step.fee))


def _postings(currency: str, *sides: tuple[str, int]) -> list[Posting]:
    return [Posting(account, Money(minor, currency)) for account, minor in sides if minor]
