"""What a commerce plugin is, and what plugins share without importing one another."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import click
from aiohttp import web
from prometheus_client.core import Metric
from pydantic import BaseModel
from sqlalchemy import CursorResult, Executable

# Money ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units by ISO 4217: Rp 85.000 is 8500000, for the rupiah has exponent 2."""

    minor: int
    currency: str

    def __add__(self, other: Money) -> Money:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} can't be added")
        return Money(self.minor + other.minor, self.currency)

    def times(self, count: int) -> Money:
        """`count` of it."""
        return Money(self.minor * count, self.currency)


# Routes and answers -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How the edge may keep an answer; it travels as response fields only.

    Seconds. `browser` is for the visitor's own cache. `private` answers are never kept; then the rest counts
    for nothing.
    """

    seconds: int = 0
    browser: int = 0
    stale_while_revalidate: int = 0
    stale_if_error: int = 0
    tags: tuple[str, ...] = ()
    vary: tuple[str, ...] = ()
    immutable: bool = False
    private: bool = False

    def fields(self) -> dict[str, str]:
        """The response fields that say so (RFC 9111 §5.2.2, RFC 5861)."""
        if self.private:
            return {"Cache-Control": "private, no-store"}
        words = ["public", f"max-age={self.browser}", f"s-maxage={self.seconds}"]
        if self.stale_while_revalidate:
            words.append(f"stale-while-revalidate={self.stale_while_revalidate}")
        if self.stale_if_error:
            words.append(f"stale-if-error={self.stale_if_error}")
        if self.immutable:
            words.append("immutable")
        said = {"Cache-Control": ", ".join(words)}
        if self.tags:
            said["Cache-Tag"] = ", ".join(self.tags)
        if self.vary:
            said["Vary"] = ", ".join(self.vary)
        return said


PRIVATE = CachePolicy(private=True)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route returns: bytes of one type, or anything that JSON can say."""

    body: bytes | str | Mapping[str, Any] | Sequence[Any]
    policy: CachePolicy = PRIVATE
    status: int = 200
    content_type: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()  # whole Set-Cookie values
    last_modified: float | None = None  # seconds since 1970

    def encoded(self) -> tuple[bytes, str]:
        """The body's bytes and their media type."""
        if isinstance(self.body, bytes):
            return self.body, self.content_type or "application/octet-stream"
        if isinstance(self.body, str):
            return self.body.encode(), self.content_type or "text/html; charset=utf-8"
        text = json.dumps(self.body, ensure_ascii=False, separators=(",", ":"))
        return text.encode(), self.content_type or "application/json"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, as the edge says under its certificate; of others nothing but the address is known."""

    address: str
    country: str | None = None
    asn: int | None = None
    site: str | None = None
    trusted: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request to a plugin's route. `match` holds the path's parameters."""

    request: web.Request
    match: Mapping[str, str]
    visitor: Visitor
    id: str
    user: str = ""  # who asks for a page through control's dashboard; nothing for commands and visitors


Handler = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """One address. Paths begin with the plugin's name and live under the site's commerce prefix; a path
    with `at_root` is the site's own (the storefront's pages, `.well-known`, short links)."""

    method: str
    path: str
    handler: Handler
    at_root: bool = False

    @property
    def takes_all(self) -> bool:
        """Whether it takes what no other route does, whosever that is: it is asked last."""
        return self.at_root and self.path.startswith("/{")


def GET(path: str, handler: Handler, *, at_root: bool = False) -> Route:  # noqa: N802
    """A route that changes nothing."""
    return Route("GET", path, handler, at_root)


def POST(path: str, handler: Handler, *, at_root: bool = False) -> Route:  # noqa: N802
    """A route that changes something."""
    return Route("POST", path, handler, at_root)


Talk = Callable[["Call", web.WebSocketResponse], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Socket:
    """An address of WebSockets (RFC 6455). `talk` holds one conversation until it returns; `plain` answers
    whoever asks without an upgrade. A message of more than `largest` bytes ends its conversation (1009)."""

    path: str
    talk: Talk
    plain: Handler
    largest: int = 64 * 1024


class Statements(Protocol):
    """What statements run on, in a transaction or outside one."""

    async def execute(
        self, statement: Executable, values: Sequence[Mapping[str, Any]] = ()
    ) -> CursorResult[*tuple[Any, ...]]:
        """The statement's rows, all fetched; with `values` it runs for each of them, and gives none."""
        ...

    async def lock(self, name: str) -> None:
        """Waits until no other transaction holds `name`, and holds it until this one ends."""
        ...


# What plugins share -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Product:
    """One thing for sale, as every plugin sees it. Texts and names by language code."""

    sku: str
    slug: str
    names: Mapping[str, str]
    price: Money
    categories: tuple[str, ...]
    pictures: tuple[str, ...]  # paths on the site
    descriptions: Mapping[str, str] = field(default_factory=dict)
    gtin: str | None = None
    paths: Mapping[str, str] = field(default_factory=dict)  # its page on the site, by language
    available: bool = True  # can be bought; read together with the price, so that all who show both agree


class Catalogue(Protocol):
    """Price, names and pictures. Our storefront is one source; an imported feed of a foreign shop another."""

    async def product(self, sku: str) -> Product | None:
        """The product with `sku`."""
        ...

    async def products(self) -> Sequence[Product]:
        """Everything for sale."""
        ...


@dataclass(frozen=True, slots=True)
class Hold:
    """A quantity that is kept for somebody until a moment (seconds since 1970)."""

    id: str
    sku: str
    quantity: int
    until: float


class OutOfStock(Exception):
    """There is less than was asked for. `left` says how much."""

    def __init__(self, sku: str, left: int) -> None:
        super().__init__(f"{sku}: {left} left")
        self.sku = sku
        self.left = left


@dataclass(frozen=True, slots=True)
class Shown:
    """What pages say of a product's stock, and how many pieces that is."""

    pieces: int
    says: Literal["in", "low", "out"]


class Stock(Protocol):
    """What can be sold now. A hold is committed or released once, and expires by itself."""

    async def available(self, sku: str) -> int:
        """How many can be promised."""
        ...

    async def shown(self) -> Mapping[str, Shown]:
        """What pages say of each product. When that changes, the tag `stock_tag(sku)` is purged."""
        ...

    async def hold(self, sku: str, quantity: int, seconds: float) -> Hold:
        """Keeps `quantity` back. Raises OutOfStock."""
        ...

    async def commit(self, hold: str) -> None:
        """The held quantity is sold."""
        ...

    async def release(self, hold: str) -> None:
        """The held quantity is for sale again."""
        ...


def stock_tag(sku: str) -> str:
    """The tag of all pages that say how much of `sku` there is."""
    return f"sku-{sku.lower()}"


class Rates(Protocol):
    """What one currency is in another."""

    async def convert(self, amount: Money, currency: str) -> Money:
        """`amount` in `currency`, rounded half to even. LookupError: no rate."""
        ...


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of a transfer: a positive amount debits the account, a negative one credits it."""

    account: str
    amount: Money


class Chart:
    """The accounts, by names that beancount takes too. Providers and sellers have some of their own."""

    SALES = "Income:Sales"  # goods without taxes, credited
    SHIPPING = "Income:Shipping"
    REFUNDS = "Income:Refunds"  # debited: what was given back of sales and shipping
    TAXES = "Liabilities:Taxes"  # debited when a refund takes them back, or they are paid
    CHARGEBACKS = "Expenses:Chargebacks"
    ROUNDING = "Expenses:Rounding"
    BANK = "Assets:Bank"

    @staticmethod
    def clearing(provider: str) -> str:
        """What a provider has taken for the shop and not paid out yet."""
        return f"Assets:Clearing:{_part('provider', provider)}"

    @staticmethod
    def fees(provider: str) -> str:
        """What a provider has kept."""
        return f"Expenses:Fees:{_part('provider', provider)}"

    @staticmethod
    def seller(seller: str) -> str:
        """What the shop owes a seller: never less than nothing, reserved payouts included."""
        return f"Liabilities:Sellers:{_part('seller', seller)}"


def _part(field: str, name: str) -> str:
    """Two names never become the same part of an account's name."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", name):
        raise Unbookable(field, f"got {name[:80]!r}, expected up to 63 of a-z, 0-9 and -")
    return name[0].upper() + name[1:]


Occasion = Literal["payment", "refund", "chargeback", "reversal", "fee", "payout", "other"]


@dataclass(frozen=True, slots=True)
class About:
    """What a transfer is for: reports group by it. `reference` is the provider's own id of the payment,
    refund, …, by which settlement files are matched.

    Payments and refunds of an order are counted: no more is refunded than was paid.
    """

    occasion: Occasion = "other"
    order: str = ""
    provider: str = ""
    method: str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's totals in one currency, in minor units: what is booked, and what is reserved beside it."""

    account: str
    currency: str
    debits: int
    credits: int
    pending_debits: int
    pending_credits: int

    @property
    def booked(self) -> Money:
        """Debits less credits, without what is reserved."""
        return Money(self.debits - self.credits, self.currency)


class Unbookable(ValueError):
    """A transfer is refused; `field` is what is wrong with it. The transaction must be rolled back."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


class Ledger(Protocol):
    """Double entry: every transfer's postings sum to nothing in each currency, and none is ever changed.

    Transfers have ids of the caller's choosing, such as "payment:ORDER". The same id with the same content
    is booked once; with other content it is refused. Everything happens in the caller's transaction, with
    the event `ledger.booked`, `ledger.reserved` or `ledger.voided` {"transfer": id}.
    """

    async def post(
        self,
        connection: Statements,
        transfer: str,
        postings: Sequence[Posting],
        memo: str,
        about: About = About(),
    ) -> None:
        """Books a transfer. Raises Unbookable."""
        ...

    async def reserve(
        self,
        connection: Statements,
        transfer: str,
        postings: Sequence[Posting],
        memo: str,
        about: About = About(),
    ) -> None:
        """Reserves a transfer until it is posted or voided: a bounded account can't spend it twice.

        Raises Unbookable.
        """
        ...

    async def post_pending(self, connection: Statements, transfer: str) -> None:
        """Books what was reserved; again: nothing happens. Raises Unbookable: unknown, or voided."""
        ...

    async def void_pending(self, connection: Statements, transfer: str) -> None:
        """Gives back what was reserved; again: nothing happens. Raises Unbookable: unknown, or booked."""
        ...

    async def balance(self, account: str) -> Mapping[str, Balance]:
        """The account's balances by currency; none: nothing was ever booked."""
        ...

    async def of_order(self, order: str) -> Sequence[Mapping[str, Any]]:
        """Everything booked for an order, a posting each as it was written: `transfer`, `at` (seconds since
        1970), `occasion`, `memo`, `account`, `currency`, `amount` (minor units, debits positive)."""
        ...


@dataclass(frozen=True, slots=True)
class Attempt:
    """An order as it is about to be paid. Texts are empty and moments None where nothing is known.

    `device` is a stable mark of the visitor's browser, `card` the provider's fingerprint of the card (never
    its number). Countries are ISO 3166 two-letter codes; moments are seconds since 1970.
    """

    order: str
    amount: Money
    visitor: Visitor
    method: str = ""
    provider: str = ""
    email: str = ""
    device: str = ""
    card: str = ""
    card_country: str = ""
    shipping_country: str = ""
    billing_country: str = ""
    session_started: float | None = None
    page_viewed: float | None = None


@dataclass(frozen=True, slots=True)
class Card:
    """What a provider says of a card: its fingerprint (never its number), and the country (ISO 3166, two
    letters) of the bank that gave it out. Empty: it does not say."""

    fingerprint: str = ""
    country: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an attempt. `challenge`: 3-D Secure must be asked for. A review lets the payment be
    authorised and holds the goods back until `risk.reviewed` {"order", "decision", "approved", "by"}.
    """

    decision: str  # its id
    action: Literal["allow", "block", "review"]
    challenge: bool
    reasons: tuple[str, ...]  # names of the rules that matched


Outcome = Literal["paid", "failed", "refunded", "disputed"]


class Risk(Protocol):
    """Who may pay, and what became of it."""

    async def assess(self, connection: Statements, attempt: Attempt) -> Verdict:
        """Decides, and keeps in the caller's transaction what was decided, by which rules and values.

        The same order with the same facts gets the decision that it has already.
        """
        ...

    async def recognise(self, connection: Statements, order: str, card: Card) -> Verdict | None:
        """The provider says with which card the order's latest attempt is paid: it is judged again, and no
        milder than before. None: it was never assessed. The same word again changes nothing.
        """
        ...

    async def learn(self, connection: Statements, order: str, outcome: Outcome) -> None:
        """What became of an order; reports measure rules by it. Orders never assessed are passed over."""
        ...

    async def of_order(self, order: str) -> Sequence[Mapping[str, Any]]:
        """Every decision about an order as it was made: `id`, `at`, `action`, `matched` (names of
        rules), `version` (theirs), `facts` (the values), `review`, `reviewed_by`."""
        ...


class Till(Protocol):
    """Where baskets become orders, for shops without a checkout of their own."""

    @property
    def begin(self) -> str:
        """The path that takes a basket's form by POST: `line` is SKU:QUANTITY:PRICE, the price in minor units
        as the page shows it, once for each product; `currency`, `language`, `attempt` (a name of this
        attempt), `back` (the basket's path), `return_path` (where to go after paying)."""
        ...


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `id` is unique; a hearer may see it more than once."""

    id: str
    name: str
    body: Mapping[str, Any]
    at: float


class Events(Protocol):
    """Durable events and purges: written in the plugin's own transaction, delivered at least once."""

    async def emit(self, connection: Statements, name: str, body: Mapping[str, Any]) -> str:
        """Adds an event; its id."""
        ...

    async def purge(self, connection: Statements, *tags: str) -> None:
        """Asks the fleet to forget everything that bears one of `tags`."""
        ...


Hearer = Callable[[Event], Awaitable[None]]


class NotNow(Exception):
    """It can't be done at this moment, through no fault of who asked: the edge brings it again later."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One provider's events: `handler` gets each once, in the transaction that marks it as seen.

    Some providers sign so weakly that an event is but a hint. `confirm` gets that, asks the provider, and
    returns what is true for the handler, or None where nothing follows; it may be asked again. Raises NotNow.
    """

    provider: str
    handler: Callable[[Statements, Mapping[str, Any]], Awaitable[None]]
    confirm: Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any] | None]] | None = None


# A plugin ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """A dashboard page at the admin listener: a fragment of HTML that control puts into its layout, or
    what such a fragment's form, or a command, calls (any method but GET; then it takes and gives JSON)."""

    path: str
    titles: Mapping[str, str]  # by language
    handler: Handler
    permission: str
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Task:
    """Something that runs again and again. `every` is in seconds."""

    name: str
    every: float
    run: Callable[[], Awaitable[None]]


@runtime_checkable
class Plugin(Protocol):
    """A commerce network. Everything but `name` has a default in `PluginDefaults`."""

    name: ClassVar[str]
    settings: ClassVar[type[BaseModel]]

    async def start(self, host: Host) -> None:
        """Called once, with migrations done, before the first request."""
        ...

    async def stop(self) -> None:
        """Called once, after the last request, of a plugin that was started."""
        ...

    def routes(self) -> Iterable[Route]: ...

    def sockets(self) -> Iterable[Socket]:
        """Addresses of WebSockets, under the plugin's own path."""
        ...

    def webhooks(self) -> Iterable[Webhook]: ...

    def hears(self) -> Mapping[str, Hearer]:
        """Hearers by event name."""
        ...

    def emits(self) -> Iterable[str]:
        """Names of the events that it emits."""
        ...

    def migrations(self) -> Path | None:
        """A directory of Alembic revisions under a branch labelled with the plugin's name."""
        ...

    def tasks(self) -> Iterable[Task]: ...

    def commands(self) -> Iterable[click.Command]: ...

    def permissions(self) -> Iterable[str]: ...

    def translations(self) -> Path | None:
        """A directory of gettext catalogues."""
        ...

    def pages(self) -> Iterable[Page]: ...

    def metrics(self) -> Iterable[Metric]:
        """What it counts and measures, for Prometheus: asked for at each scrape, so at no cost."""
        ...


class PluginDefaults:
    """Nothing of everything: a plugin overrides what it has."""

    async def start(self, host: Host) -> None:
        return None

    async def stop(self) -> None:
        return None

    def routes(self) -> Iterable[Route]:
        return ()

    def sockets(self) -> Iterable[Socket]:
        return ()

    def webhooks(self) -> Iterable[Webhook]:
        return ()

    def hears(self) -> Mapping[str, Hearer]:
        return {}

    def emits(self) -> Iterable[str]:
        return ()

    def migrations(self) -> Path | None:
        return None

    def tasks(self) -> Iterable[Task]:
        return ()

    def commands(self) -> Iterable[click.Command]:
        return ()

    def permissions(self) -> Iterable[str]:
        return ()

    def translations(self) -> Path | None:
        return None

    def pages(self) -> Iterable[Page]:
        return ()

    def metrics(self) -> Iterable[Metric]:
        return ()


Contract = Literal["catalogue", "stock", "rates", "ledger", "risk", "checkout"]


class Host(Protocol):
    """What the origin gives a plugin at its start."""

    @property
    def settings(self) -> BaseModel:
        """The plugin's own settings, validated."""
        ...

    @property
    def events(self) -> Events: ...

    @property
    def prefix(self) -> str:
        """The prefix under which sites show this origin, such as /commerce."""
        ...

    @property
    def secret(self) -> bytes:
        """32 bytes of this origin's own, for signing; the same after a restart."""
        ...

    def now(self) -> float:
        """Seconds since 1970."""
        ...

    def reveal(self, reference: str) -> str:
        """The secret behind file:PATH or env:NAME. ValueError: there is none; the text names no secret."""
        ...

    def write(self) -> Any:
        """A transaction (an async context manager that gives Statements)."""
        ...

    def read(self) -> Any:
        """A connection for reading (an async context manager)."""
        ...

    def offer(self, contract: Contract, implementation: object, *, stand_in: bool = False) -> None:
        """This plugin is the source of `contract`; a stand-in, as long as no other plugin is.

        ValueError: another one is already.
        """
        ...

    def use(self, contract: Contract) -> Any:
        """Who implements `contract`. LookupError: nobody does.

        Plugins start in the order of their names: ask when it is needed, not at the start.
        """
        ...
