"""What Prometheus is told of the checkout. The database is counted now and then, never at a scrape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from origin.checkout.accounts import Accounts
from origin.checkout.orders import Orders


@dataclass(slots=True)
class Counting:
    """Sessions by state, providers' answers and failures, breakers, and orphans."""

    orders: Orders
    accounts: Accounts
    _states: Mapping[str, int] = field(default_factory=dict)
    _orphans: int = 0

    async def count(self) -> None:
        """Reads anew what stands in the database."""
        self._states = await self.orders.counted()
        self._orphans = await self.orders.orphaned()

    def metrics(self) -> Iterable[Metric]:
        """All of it, as it was counted last."""
        sessions = GaugeMetricFamily("tepi_origin_checkout_sessions", "Checkout sessions.", labels=["state"])
        for state, count in self._states.items():
            sessions.add_metric([state], count)
        yield sessions
        yield GaugeMetricFamily(
            "tepi_origin_checkout_orphans", "Webhooks about payments that nobody knows.", self._orphans
        )
        answers = CounterMetricFamily(
            "tepi_origin_provider_answers", "Requests that a payment provider answered.", labels=["provider"]
        )
        failures = CounterMetricFamily(
            "tepi_origin_provider_failures", "Requests that it did not answer.", labels=["provider"]
        )
        resting = GaugeMetricFamily(
            "tepi_origin_provider_resting", "Whether it is left alone after failures.", labels=["provider"]
        )
        for name in self.accounts.providers:
            answers.add_metric([name], self.accounts.answers[name])
            failures.add_metric([name], self.accounts.failures[name])
            resting.add_metric([name], int(self.accounts.resting(name)))
        yield from (answers, failures, resting)
