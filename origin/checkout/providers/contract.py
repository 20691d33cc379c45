"""What a payment provider is to the checkout.

A provider is one class in one file with an entry point in the group `tepi.providers`. It moves no money of
its own accord: it is told what to do, with a key under which the same request is done once however often it
is sent, and says what is true now. Amounts are minor units by ISO 4217; moments are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol
from urllib.parse import urlsplit

import aiohttp
from pydantic import BaseModel

from origin.checkout.order import Method
from origin.checkout.states import Signal
from origin.contract import Card, Money

GROUP = "tepi.providers"
ADAPTERS = Path(__file__).parent.parent / "static"


class Unavailable(Exception):
    """Nothing was done, for sure: another provider may be asked."""


class Unanswered(Exception):
    """It may or may not have been done: only the same provider may be asked again, with the same key."""


class Declined(Exception):
    """The provider will not do it. The text is for the operator; visitors are told in their own words."""


# What the visitor has to do -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go to the provider's page: hosted card fields, 3-D Secure, a wallet."""

    url: str


@dataclass(frozen=True, slots=True)
class Code:
    """Scan a code: the text that a QRIS picture holds."""

    text: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """Transfer the exact amount to a virtual account."""

    bank: str
    account: str
    biller: str = ""  # where a bank asks for a company's code beside the number


@dataclass(frozen=True, slots=True)
class Fields:
    """Fill in the provider's own fields on our page. `url` is its page for the same, if it has one."""

    token: str  # what its script opens this payment with, and no other
    url: str = ""


Action = Redirect | Code | Transfer | Fields


@dataclass(frozen=True, slots=True)
class Hosted:
    """What a provider's fields need of our page, whose policy (CSP) is opened for exactly these origins."""

    script: str  # its URL, at the provider's own host
    key: str  # the account's public key
    adapter: Path  # our script that puts its fields onto the page
    scripts: tuple[str, ...]
    frames: tuple[str, ...]
    connects: tuple[str, ...] = ()


# What is said and answered ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be paid. `payment` is our name of this attempt, which the provider keeps and repeats."""

    payment: str
    amount: Money
    method: Method
    channel: str | None
    description: str
    email: str | None
    name: str | None
    phone: str | None
    country: str | None
    language: str
    return_url: str
    until: float
    capture: bool = True
    challenge: bool = False  # whether 3-D Secure must be asked for
    fields: bool = False  # whether the visitor's page can show the provider's own fields


@dataclass(frozen=True, slots=True)
class Charge:
    """What is true of a payment now: all that was captured, and all that went back, since its beginning."""

    reference: str  # the provider's name of it
    state: Signal
    captured: Money
    refunded: int = 0
    action: Action | None = None
    reason: str = ""
    card: Card | None = None  # with which it is paid, once that is known
    settled_as: str = ""  # its name of the money taken, by which disputes speak of it
    fee: int = 0  # all that it kept of it, where it says so in the payment's currency


DisputeState = Literal["inquiry", "opened", "lost", "won"]
PayoutState = Literal["pending", "paid", "failed"]


@dataclass(frozen=True, slots=True)
class Dispute:
    """A buyer's bank wants money back: an inquiry moves none yet, an open claim has taken it."""

    reference: str
    state: DisputeState
    amount: Money
    fee: int = 0  # all that the provider charges for it, in the same currency
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Payout:
    """What a provider pays out to the shop's bank."""

    reference: str
    state: PayoutState
    amount: Money


@dataclass(frozen=True, slots=True)
class Notice:
    """What an event is about. With a `charge` the event proves it; without, the provider must be asked.

    `reference` is the provider's name of the payment, or of the money that it took.
    """

    payment: str | None = None
    reference: str | None = None
    charge: Charge | None = None
    dispute: Dispute | None = None
    payout: Payout | None = None


@dataclass(frozen=True, slots=True)
class Tools:
    """What a provider is given: a client, where secrets are, the time."""

    http: aiohttp.ClientSession
    reveal: Callable[[str], str]  # file:PATH or env:NAME -> the secret. Raises ValueError
    now: Callable[[], float]


class Provider(Protocol):
    """One account at one provider.

    Everything that asks raises Unavailable, Unanswered and Declined, and nothing else.
    """

    name: ClassVar[str]
    settings: ClassVar[type[BaseModel]]

    def __init__(self, settings: Any, tools: Tools) -> None: ...

    @property
    def methods(self) -> Mapping[Method, tuple[str, ...]]:
        """What can be paid with, and the channels of each method where there are several."""
        ...

    def takes(self, currency: str) -> bool:
        """Whether it charges in `currency`."""
        ...

    @property
    def pages(self) -> tuple[str, ...]:
        """Origins of its pages that are not HTTPS: browsers are told where our forms may lead."""
        ...

    @property
    def hosted(self) -> Hosted | None:
        """What its own fields need of our page; None: it has a page of its own alone."""
        ...

    async def create(self, order: Order, key: str) -> Charge:
        """Begins a payment, once for each key."""
        ...

    async def confirm(self, order: Order, reference: str, returned: Mapping[str, str], key: str) -> Charge:
        """The visitor came back from its page with `returned` in the URL, which proves nothing by itself."""
        ...

    async def capture(self, reference: str, amount: Money, key: str) -> Charge:
        """Takes what was authorized."""
        ...

    async def cancel(self, reference: str, key: str) -> Charge:
        """Ends a payment that is not paid; what it is now, if it was paid meanwhile."""
        ...

    async def refund(self, reference: str, amount: Money, key: str) -> Charge:
        """Gives a part or all of it back."""
        ...

    async def status(self, payment: str, reference: str | None) -> Charge | None:
        """What is true now; None: it knows no such payment."""
        ...

    def parse(self, event: Mapping[str, Any]) -> Notice | None:
        """What a verified webhook is about; None: nothing of ours follows from it."""
        ...


def origin_of(url: str) -> str:
    """Scheme and authority of `url`, as policies have them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class ProviderDefaults:
    """A provider whose pages are all HTTPS, and whose visitors prove nothing by coming back."""

    @property
    def pages(self) -> tuple[str, ...]:
        return ()

    @property
    def hosted(self) -> Hosted | None:
        return None

    def takes(self, currency: str) -> bool:
        return True

    async def confirm(self, order: Order, reference: str, returned: Mapping[str, str], key: str) -> Charge:
        found = await self.status(order.payment, reference)
        if found is None:
            raise Declined(f"it knows no payment {reference}")
        return found

    async def status(self, payment: str, reference: str | None) -> Charge | None:
        raise NotImplementedError
