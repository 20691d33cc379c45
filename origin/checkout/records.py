"""Sessions and payments as values, read from their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from origin.checkout.pricing import Line
from origin.checkout.providers.contract import Action, Code, Fields, Redirect, Transfer
from origin.checkout.states import State

Review = Literal["", "open", "approved", "rejected"]


@dataclass(frozen=True, slots=True)
class Session:
    """An order that is being paid; amounts in minor units of `currency`."""

    id: str
    site: str | None
    state: State
    currency: str
    total: int
    paid: int
    refunded: int
    document: Mapping[str, Any]
    holds: Sequence[Mapping[str, Any]]
    stock: str
    payment: str | None
    created_at: float
    changed_at: float
    until: float
    review: Review = ""
    reviews: Mapping[str, Review] = field(default_factory=dict)
    cart: str | None = None

    @property
    def language(self) -> str:
        """What the visitor reads."""
        return str(self.document["language"])

    @property
    def country(self) -> str | None:
        """Where it goes."""
        address = self.document.get("shipping_address") or {}
        country = address.get("country")
        return None if country is None else str(country)


@dataclass(frozen=True, slots=True)
class Payment:
    """One attempt to pay a session at one provider."""

    id: str
    session: str
    provider: str
    method: str
    channel: str | None
    reference: str | None
    state: State
    currency: str
    amount: int
    captured: int
    refunded: int
    action: Mapping[str, Any] | None
    reason: str
    return_url: str
    created_at: float
    changed_at: float
    next_at: float
    tries: int
    fields: bool = False  # whether it was begun where the provider's own fields can be shown
    reserved: int = 0  # how often it was authorized, as the books count it
    settled_as: str | None = None  # the provider's name of the money that it took
    fees: int = 0


def session_of(row: Any) -> Session:
    """A row of `checkout_sessions`."""
    return Session(**row._mapping)


def payment_of(row: Any) -> Payment:
    """A row of `checkout_payments`."""
    return Payment(**row._mapping)


def line_document(line: Line) -> dict[str, Any]:
    """A line as sessions keep and show it."""
    said: dict[str, Any] = {"kind": line.kind, "names": dict(line.names), "amount": line.amount.minor}
    if line.sku is not None and line.unit is not None:
        said |= {"sku": line.sku, "quantity": line.quantity, "price": line.unit.minor}
    if line.kind == "tax":
        said["included"] = line.included
    return said


def action_document(action: Action | None) -> dict[str, Any] | None:
    """What the visitor has to do, as sessions keep and show it."""
    match action:
        case None:
            return None
        case Redirect():
            kind = "redirect"
        case Code():
            kind = "code"
        case Transfer():
            kind = "transfer"
        case Fields():
            kind = "fields"
    return {"kind": kind, **asdict(action)}


def shown(session: Session, payment: Payment | None, prefix: str) -> dict[str, Any]:
    """A session as its client sees it."""
    document = session.document
    said: dict[str, Any] = {
        "id": session.id,
        "state": session.state,
        "currency": session.currency,
        "total": session.total,
        "paid": session.paid,
        "refunded": session.refunded,
        "lines": document["lines"],
        "language": session.language,
        "created_at": session.created_at,
        "expires_at": session.until,
        "page": f"{prefix}/checkout/{session.id}",
    }
    for name in ("email", "shipping", "shipping_address", "billing_address", "reference", "return_path"):
        if document.get(name) is not None:
            said[name] = document[name]
    if payment is not None:
        said["payment"] = {
            "id": payment.id,
            "method": payment.method,
            "channel": payment.channel,
            "state": payment.state,
            "action": payment.action if payment.state in ("open", "pending") else None,
        }
    return said
