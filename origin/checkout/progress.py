"""What follows when a provider says what is true of a payment. Pure: old values in, new ones out."""

from __future__ import annotations

from dataclasses import dataclass, replace

from origin.checkout.providers.contract import Charge
from origin.checkout.records import Payment, Session, action_document
from origin.checkout.states import SETTLED, Signal, State, after, with_refunds

# What a payment's state says of the session that it pays: one that came to nothing leaves it payable.
OF_SESSION: dict[State, Signal] = {
    "open": "pending",
    "pending": "pending",
    "authorized": "authorized",
    "failed": "failed",
    "expired": "failed",
    "cancelled": "failed",
}
EVENTS: dict[State, str] = {
    "authorized": "order.authorized",
    "paid": "order.paid",
    "failed": "order.failed",
    "expired": "order.expired",
    "cancelled": "order.cancelled",
}


@dataclass(frozen=True, slots=True)
class Step:
    """The values after the news, what to tell, and how much money moved with it (minor units).

    A `surplus` was paid beside a payment that had paid the session already: it must go back.
    `reserved` money was set aside by the news, `released` money that had been is so no longer; `fee` is what
    the provider kept of it.
    """

    session: Session
    payment: Payment
    events: tuple[str, ...] = ()
    captured: int = 0
    refunded: int = 0
    surplus: bool = False
    reserved: bool = False
    released: bool = False
    fee: int = 0


class NotThisPayment(ValueError):
    """What is said can't be true of the payment: another currency."""


def step(session: Session, payment: Payment, charge: Charge, now: float, given_back: int = 0) -> Step:
    """What `charge` makes of `payment` and `session`.

    `given_back` is what is known to have been refunded, for providers that do not add it up themselves.
    Raises NotThisPayment.
    """
    if charge.captured.minor and charge.captured.currency != payment.currency:
        raise NotThisPayment(f"{charge.captured.currency} for a payment in {payment.currency}")
    later = _payment_after(payment, charge, now, given_back)
    captured, refunded = later.captured - payment.captured, later.refunded - payment.refunded
    if captured and session.state in SETTLED and session.payment != payment.id:
        return Step(session, later, ("payment.surplus",), captured, refunded, surplus=True)
    if captured:
        paid = replace(session, payment=payment.id, paid=later.captured, state=after(session.state, "paid"))
        return _told(session, _with_refunds(paid, later, now), later, captured, refunded)
    if session.payment != payment.id:
        return Step(session, later, refunded=refunded)
    if later.state in SETTLED:
        return _told(session, _with_refunds(session, later, now), later, 0, refunded)
    state = after(session.state, OF_SESSION[later.state])
    changed = session if state == session.state else replace(session, state=state, changed_at=now)
    return _told(session, changed, later, 0, 0)


def with_reservation(before: Payment, made: Step) -> Step:
    """`made` as the books need it, which keep an authorized payment as pending until it is taken or let go.

    Each time that a payment is authorized is a reservation of its own: `Payment.reserved` counts them.
    """
    made = replace(made, fee=made.payment.fees - before.fees)
    was, is_now = before.state == "authorized", made.payment.state == "authorized"
    if is_now and not was and made.payment.amount:
        payment = replace(made.payment, reserved=before.reserved + 1)
        return replace(made, payment=payment, reserved=True)
    return replace(made, released=was and not is_now and before.reserved > 0)


def _payment_after(payment: Payment, charge: Charge, now: float, given_back: int) -> Payment:
    signal = charge.state
    took = charge.captured.minor if signal == "paid" else 0
    short = signal == "paid" and took < payment.amount and payment.state in ("open", "pending", "failed")
    if short:  # less was paid than asked for: it is not paid yet
        signal, took = "pending", 0
    captured = max(payment.captured, took)
    refunded = min(captured, max(payment.refunded, charge.refunded, given_back))
    state = with_refunds(after(payment.state, signal), captured, refunded)
    reason = f"short: {charge.captured.minor} of {payment.amount}" if short else charge.reason
    later = replace(
        payment,
        state=state,
        reference=charge.reference or payment.reference,
        captured=captured,
        refunded=refunded,
        action=action_document(charge.action) or payment.action,
        reason=reason or payment.reason,
        settled_as=charge.settled_as or payment.settled_as,
        fees=max(payment.fees, charge.fee),
    )
    return later if later == payment else replace(later, changed_at=now)


def _with_refunds(session: Session, payment: Payment, now: float) -> Session:
    state = with_refunds(session.state, session.paid, payment.refunded)
    later = replace(session, refunded=payment.refunded, state=state)
    return later if later == session else replace(later, changed_at=now)


def _told(before: Session, session: Session, payment: Payment, captured: int, refunded: int) -> Step:
    events = []
    if session.state != before.state:
        if captured:
            events.append("order.paid")  # though it may be refunded by now
        elif session.state in EVENTS:
            events.append(EVENTS[session.state])
    if refunded:
        events.append("order.refunded")
    return Step(session, payment, tuple(events), captured, refunded)
