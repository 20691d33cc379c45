"""The checkout as a plugin: its declaration and its routes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import aiohttp
import click
from prometheus_client.core import Metric
from pydantic import BaseModel

from origin.checkout.accounts import Accounts
from origin.checkout.api import Api
from origin.checkout.browser import sealed_view
from origin.checkout.carts import Carts, Keys
from origin.checkout.commands import checkout
from origin.checkout.counting import Counting
from origin.checkout.desk import Desk
from origin.checkout.news import News
from origin.checkout.orders import Orders
from origin.checkout.pages import Pages
from origin.checkout.payments import Payments
from origin.checkout.providers.contract import Tools
from origin.checkout.providers.installed import opened
from origin.checkout.refunding import Refunds
from origin.checkout.reviewing import Reviews
from origin.checkout.sessions import Sessions
from origin.checkout.settings import CheckoutSettings
from origin.checkout.settling import Settling
from origin.checkout.shelf import Shelf
from origin.checkout.visit import Visit
from origin.checkout.watching import Watch
from origin.contract import Hearer, Host, Page, Plugin, PluginDefaults, Route, Task, Webhook

HERE = Path(__file__).parent
WATCH_EVERY = 2.0
REFUND_EVERY = 10.0
MEASURE_EVERY = 60.0
COUNT_EVERY = 15.0
FORGET_EVERY = 600.0
EVENTS = (
    "order.authorized", "order.paid", "order.failed", "order.expired", "order.cancelled", "order.refunded",
    "order.disputed",
    "order.dispute_lost", "order.dispute_won", "order.short", "payment.surplus", "payment.orphan",
)  # fmt: skip


@dataclass(slots=True)
class Checkout(PluginDefaults):
    """From a basket to a paid order."""

    name: ClassVar[str] = "checkout"
    settings: ClassVar[type[BaseModel]] = CheckoutSettings
    accounts: Accounts = field(init=False)
    sessions: Sessions = field(init=False)
    payments: Payments = field(init=False)
    refunds: Refunds = field(init=False)
    _news: News = field(init=False)
    _shelf: Shelf = field(init=False)
    _watch: Watch = field(init=False)
    _reviews: Reviews = field(init=False)
    _api: Api = field(init=False)
    _desk: Desk = field(init=False)
    _counting: Counting = field(init=False)
    _visit: Visit = field(init=False)
    begin: str = field(init=False)
    _host: Host = field(init=False)
    _http: aiohttp.ClientSession = field(init=False)

    async def start(self, host: Host) -> None:
        """Opens the accounts at providers. ValueError: one's settings or secrets are wrong."""
        settings = host.settings
        assert isinstance(settings, CheckoutSettings)
        self._host = host
        keys = Keys.of(settings, host)
        self._http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        try:
            providers = opened(settings.providers, Tools(self._http, host.reveal, host.now))
        except ValueError:
            await self._http.close()
            raise
        self.accounts = Accounts(host, settings, providers)
        self.sessions = Sessions(host, settings)
        self.payments = Payments(host, settings, self.sessions, self.accounts)
        self.refunds = Refunds(host, self.sessions, self.accounts, self.payments)
        self._news = News(host, self.accounts, self.payments, Settling(host, self.sessions))
        self._shelf = Shelf(host, self.sessions)
        self._watch = Watch(host, self.sessions, self.accounts, self.payments)
        await self._watch.resume()
        carts = Carts(host, settings, self.sessions, keys)
        self._api = Api(host, self.sessions, carts, self.payments, self.accounts)
        self._reviews = Reviews(host, self.sessions, self._shelf, self._api, self.refunds)
        pages = Pages(
            host.prefix, self.accounts.pages(), settings.shipping, self._seal, self.accounts.hosted()
        )
        self._visit = Visit(host, self.sessions, carts, self.payments, self.accounts, pages)
        self.begin = f"{host.prefix}/checkout/basket"
        host.offer("checkout", self)
        orders = Orders(host, self.sessions)
        self._counting = Counting(orders, self.accounts)
        self._desk = Desk(host, orders, self.payments, self.refunds, self._api)

    def _seal(self, session: str) -> str:
        return sealed_view(self._host.secret, session, self._host.now())

    async def stop(self) -> None:
        """Closes the connections to providers."""
        await self._http.close()

    def migrations(self) -> Path:
        """Sessions, payments and what belongs to them."""
        return HERE / "migrations"

    def emits(self) -> Iterable[str]:
        """What becomes of orders."""
        return EVENTS

    def hears(self) -> Mapping[str, Hearer]:
        """Its own news: held goods are settled after the fact, at least once; and what reviewers decided."""
        return {
            "order.authorized": self._reviews.placed,
            "order.paid": self._reviews.placed,
            "order.expired": self._shelf.give_back,
            "order.cancelled": self._shelf.give_back,
            "payment.surplus": self.refunds.pay_back,
            "risk.reviewed": self._reviews.reviewed,
        }

    def tasks(self) -> Iterable[Task]:
        """Sessions end in time, wherever the origin was meanwhile; lost answers are asked for again."""
        yield Task("expire sessions", WATCH_EVERY, self._watch.expire)
        yield Task("ask after payments", WATCH_EVERY, self._watch.ask_after)
        yield Task("ask again for refunds", REFUND_EVERY, self.refunds.retry)
        yield Task("refuse rejected orders", REFUND_EVERY, self._reviews.refuse_again)
        yield Task("measure providers", MEASURE_EVERY, self.accounts.measure)
        yield Task("count orders", COUNT_EVERY, self._counting.count)
        yield Task("forget answered requests", FORGET_EVERY, self.sessions.answered.forget)

    def webhooks(self) -> Iterable[Webhook]:
        """Those of every provider that there is an account at."""
        return self._news.webhooks()

    def routes(self) -> Iterable[Route]:
        """The API and the pages under the commerce prefix."""
        yield from self._api.routes()
        yield from self._visit.routes()

    def permissions(self) -> Iterable[str]:
        """Who may see orders, and who may move money."""
        return self._desk.permissions()

    def pages(self) -> Iterable[Page]:
        """Orders for the operator."""
        return self._desk.pages()

    def commands(self) -> Iterable[click.Command]:
        """`tepi origin checkout …`."""
        yield checkout

    def metrics(self) -> Iterable[Metric]:
        """Orders and providers."""
        return self._counting.metrics()


_: type[Plugin] = Checkout
