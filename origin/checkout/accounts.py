"""The operator's accounts at providers: who can be asked now, and how each has done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import case, func, select

from origin.checkout.breaker import Breaker
from origin.checkout.order import Method
from origin.checkout.providers.contract import Hosted, Provider
from origin.checkout.routing import Candidate, Wish, methods_of, ordered
from origin.checkout.settings import CheckoutSettings
from origin.checkout.tables import payments
from origin.contract import Host

LATELY = 86_400.0
CAME_TO_MONEY = ("authorized", "paid", "partially_refunded", "refunded")
DECIDED = (*CAME_TO_MONEY, "failed", "expired")


class Accounts:
    """Providers by name, each behind a breaker of its own."""

    def __init__(self, host: Host, settings: CheckoutSettings, providers: Mapping[str, Provider]) -> None:
        self._host = host
        self._settings = settings
        self.providers = providers
        self._breakers = {name: Breaker(settings.failures, settings.rest) for name in providers}
        self._lately: dict[tuple[str, str], tuple[int, int]] = {}
        self.answers = dict.fromkeys(providers, 0)
        self.failures = dict.fromkeys(providers, 0)

    def __getitem__(self, name: str) -> Provider:
        return self.providers[name]

    def __contains__(self, name: str) -> bool:
        return name in self.providers

    def worked(self, name: str) -> None:
        """It answered."""
        self.answers[name] += 1
        self._breakers[name].worked()

    def failed(self, name: str) -> None:
        """It did not."""
        self.failures[name] += 1
        self._breakers[name].failed(self._host.now())

    def resting(self, name: str) -> bool:
        """Whether it is left alone for now, after failures."""
        return self._breakers[name].resting(self._host.now())

    def order(self, wish: Wish) -> list[str]:
        """Who is to be asked, in this order."""
        found = self._candidates(wish.amount.currency, wish.method)
        return ordered(wish, found, self._settings.preferences, self._settings.costs)

    def methods(self, currency: str) -> dict[Method, list[str]]:
        """What can be paid with."""
        return methods_of(self._candidates(currency, None))

    def pages(self) -> Sequence[str]:
        """Origins of providers' pages that are not HTTPS."""
        return [page for one in self.providers.values() for page in one.pages]

    def hosted(self) -> Mapping[str, Hosted]:
        """Whose own fields can be shown on our page, and what they need of it, by provider."""
        found = ((name, one.hosted) for name, one in self.providers.items())
        return {name: hosted for name, hosted in found if hosted is not None}

    async def measure(self) -> None:
        """Counts what came to money lately, by provider and method."""
        worked = func.sum(case((payments.c.state.in_(CAME_TO_MONEY), 1), else_=0))
        async with self._host.read() as connection:
            found = await connection.execute(
                select(payments.c.provider, payments.c.method, func.count(), worked)
                .where(payments.c.created_at > self._host.now() - LATELY, payments.c.state.in_(DECIDED))
                .group_by(payments.c.provider, payments.c.method)
            )
            self._lately = {(row[0], row[1]): (int(row[2]), int(row[3])) for row in found}

    def _candidates(self, currency: str, method: str | None) -> list[Candidate]:
        now = self._host.now()
        return [
            Candidate(
                name,
                one.methods,
                one.takes(currency),
                self._breakers[name].resting(now),
                *self._lately.get((name, method or ""), (0, 0)),
            )
            for name, one in self.providers.items()
        ]
