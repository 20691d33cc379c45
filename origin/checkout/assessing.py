"""What risk says of an attempt to pay, and what that makes of its order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from origin.checkout.browser import Browser
from origin.checkout.problems import Problem
from origin.checkout.records import Payment, Review, Session
from origin.contract import Attempt, Card, Host, Money, Risk, Statements, Verdict


class Blocked(Problem):
    """The rules of risk refuse it; visitors are not told why."""

    def __init__(self) -> None:
        super().__init__(403, "refused", "the payment is refused")


async def assessed(
    host: Host, connection: Statements, session: Session, payment: Payment, browser: Browser
) -> Verdict | None:
    """Risk's verdict, kept in the caller's transaction; None where there is no such plugin."""
    try:
        risk: Risk = host.use("risk")
    except LookupError:
        return None
    document = session.document
    attempt = Attempt(
        order=session.id,
        amount=Money(payment.amount, payment.currency),
        visitor=browser.visitor,
        method=payment.method,
        provider=payment.provider,
        email=document.get("email") or "",
        device=browser.device,
        shipping_country=session.country or "",
        billing_country=(document.get("billing_address") or {}).get("country", ""),
        session_started=session.created_at,
        page_viewed=browser.page_viewed,
    )
    return await risk.assess(connection, attempt)


async def recognised(host: Host, connection: Statements, session: Session, card: Card) -> Session:
    """The session as risk judges it with its card: held for a review, or rejected."""
    try:
        risk: Risk = host.use("risk")
    except LookupError:
        return session
    verdict = await risk.recognise(connection, session.id, card)
    if verdict is not None and verdict.action == "block":
        return _with(session, {**session.reviews, verdict.decision: "rejected"})
    return held_for(session, verdict)


def held_for(session: Session, verdict: Verdict | None) -> Session:
    """The session with a review that its goods wait for, if there is one. Pure.

    The same attempt has the same decision: one that was answered is not opened again.
    """
    if verdict is None or verdict.action != "review" or verdict.decision in session.reviews:
        return session
    return _with(session, {**session.reviews, verdict.decision: "open"})


def answered(session: Session, decision: str, *, approved: bool) -> Session:
    """The session after the review of `decision`; one that it does not wait for changes nothing. Pure."""
    if session.reviews.get(decision) != "open":
        return session
    return _with(session, {**session.reviews, decision: "approved" if approved else "rejected"})


def _with(session: Session, reviews: Mapping[str, Review]) -> Session:
    """One rejection refuses an order; its goods leave once every review is approved."""
    said = set(reviews.values())
    review: Review = next((one for one in ("rejected", "open") if one in said), "approved")
    return replace(session, reviews=reviews, review=review)
