"""What a client may ask for: a session, a payment, a refund. Prices are never his to say."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from origin.checkout.problems import Problem, invalid, wrong
from origin.money import LARGEST, exponent

MOST_LINES = 100
MOST_OF_ONE = 999
LONGEST_KEY = 255
_EMAIL = re.compile(r"[^@\s<>\"]{1,64}@[^@\s<>\"]{1,189}\.[^@\s<>\".]{2,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

Method = Literal["card", "bank_transfer", "e_wallet", "qris", "paypal", "cash_on_delivery"]


def _known_currency(code: str) -> str:
    try:
        exponent(code)
    except ValueError:
        raise ValueError("expected a currency of ISO 4217, such as IDR") from None
    return code


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise ValueError("expected an address such as ani@contoh.id")
    return text


def _plain(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("expected text without control characters")
    return text


def _path(text: str) -> str:
    if not text.startswith("/") or text.startswith(("//", "/\\")) or _CONTROL.search(text):
        raise ValueError("expected a path on this site, such as /thanks")
    return text


Text = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, strip_whitespace=True),
    AfterValidator(_plain),
]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class WantedLine(_Document):
    """So many of one product, and the price that the page showed, if it says so (minor units)."""

    sku: Annotated[str, StringConstraints(min_length=1, max_length=63), AfterValidator(_plain)]
    quantity: int = Field(ge=1, le=MOST_OF_ONE)
    price: int | None = Field(None, ge=0, le=LARGEST)


class Address(_Document):
    """Where goods or invoices go."""

    name: Text
    line1: Text
    line2: Text | None = None
    city: Text
    region: Text | None = None
    postal_code: Annotated[Text, StringConstraints(max_length=16)] | None = None
    country: Country
    phone: Annotated[str, StringConstraints(pattern=r"^\+?[0-9 ()-]{5,24}$")] | None = None


class CartRequest(_Document):
    """A basket whose prices and goods are to be kept for a while."""

    lines: Annotated[list[WantedLine], Field(min_length=1, max_length=MOST_LINES)]
    currency: Annotated[str, AfterValidator(_known_currency)]


class RedeemRequest(_Document):
    """What is said with a cart's token, which says itself what is to be paid."""

    email: Annotated[str, StringConstraints(max_length=254), AfterValidator(_email)] | None = None
    shipping_address: Address | None = None
    billing_address: Address | None = None
    shipping: Annotated[str, StringConstraints(max_length=63)] | None = None
    language: Literal["id", "en"] = "id"
    return_path: Annotated[str, StringConstraints(max_length=500), AfterValidator(_path)] | None = None
    reference: Annotated[Text, StringConstraints(max_length=64)] | None = None


class SessionRequest(RedeemRequest, CartRequest):
    """A basket that is to be paid."""


class ContactRequest(_Document):
    """Who gets the goods, said after the session was opened."""

    email: Annotated[str, StringConstraints(max_length=254), AfterValidator(_email)] | None = None
    shipping_address: Address | None = None
    shipping: Annotated[str, StringConstraints(max_length=63)] | None = None


class PaymentRequest(_Document):
    """How a session is to be paid. A `channel` is a bank or a wallet, where the method has several; `fields`
    says that the page can show the provider's own."""

    method: Method
    channel: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,32}$")] | None = None
    fields: bool = False


class RefundRequest(_Document):
    """How much goes back, in minor units; all that is left without an amount."""

    amount: int | None = Field(None, ge=1, le=LARGEST)
    reason: Annotated[Text, StringConstraints(max_length=200)] | None = None


M = TypeVar("M", bound=BaseModel)


def parsed(model: type[M], body: bytes) -> tuple[M, str]:
    """The document in `body`, and a fingerprint that is the same however it was spelled. Raises Problem."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise Problem(400, "not-json", "document: expected JSON") from None
    if not isinstance(document, dict):
        raise wrong("document", document, "a JSON object", status=400, kind="not-json")
    try:
        found = model.model_validate(document)
    except ValidationError as error:
        raise invalid(error) from None
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return found, hashlib.sha256(text.encode()).hexdigest()


def idempotency_key(field: str | None) -> str:
    """The value of an Idempotency-Key, bare or quoted. Raises Problem."""
    key = (field or "").strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not key:
        raise wrong(
            "Idempotency-Key", "", "a name of this attempt, such as a UUID", status=400, kind="no-key"
        )
    if len(key) > LONGEST_KEY or not key.isascii() or not key.isprintable():
        expected = f"1 to {LONGEST_KEY} printable ASCII characters"
        raise wrong("Idempotency-Key", key, expected, status=400, kind="no-key")
    return key
