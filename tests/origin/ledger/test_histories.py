"""Any history of payments, refunds, chargebacks, payouts, crashes and replays leaves books that beancount
finds nothing wrong with, and that agree with what the providers hold."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from origin.contract import About, Chart, Posting, Unbookable
from tests.origin.ledger.books import Books, open_books, paid, refund, refunded, sides
from tests.origin.ledger.judge import agrees, whole

T = TypeVar("T")
PROVIDERS = ("stripe", "midtrans", "xendit")
CURRENCIES = ("IDR", "USD", "JPY")
amounts = st.integers(1, 10**9)


class Crash(Exception):
    """The transaction ends here."""


class History(RuleBasedStateMachine):
    """A shop's life, and a model of what the providers and the seller hold."""

    payments = Bundle("payments")
    payouts = Bundle("payouts")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = Path(tempfile.mkdtemp(prefix="tepi-ledger-"))
        self.stack = AsyncExitStack()
        self.number = 0
        self.held: dict[tuple[str, str], int] = defaultdict(int)
        self.left: dict[str, int] = {}
        self.charged: dict[str, int] = defaultdict(int)
        self.done: list[tuple[str, Sequence[Posting], About]] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def open(self) -> None:
        self.books: Books = self.run(self.stack.enter_async_context(open_books(self.directory)))

    @rule()
    def restart(self) -> None:
        self.run(self.stack.aclose())
        self.stack = AsyncExitStack()
        self.open()

    @rule(seconds=st.integers(1, 200_000))
    def time_passes(self, seconds: int) -> None:
        self.books.clock.now += seconds

    @rule(
        target=payments, provider=st.sampled_from(PROVIDERS), currency=st.sampled_from(CURRENCIES),
        goods=amounts, tax=st.integers(0, 1000), fee=st.integers(0, 1000),
    )  # fmt: skip
    def pay(self, provider: str, currency: str, goods: int, tax: int, fee: int) -> Any:
        order, total = self._next(), goods + tax + fee
        lines = [(Chart.clearing(provider), total - fee), (Chart.SALES, -(goods + fee))]
        lines += [(Chart.TAXES, -tax)] if tax else []
        lines += [(Chart.fees(provider), fee)] if fee else []
        self._post(f"payment:{order}", sides(*lines, currency=currency), paid(order, provider))
        self.held[provider, currency] += total - fee
        self.left[order] = total
        return multiple((order, provider, currency, total))

    @rule(payment=payments, share=st.integers(1, 150))
    def give_back(self, payment: tuple[str, str, str, int], share: int) -> None:
        order, provider, currency, total = payment
        amount = max(1, total * share // 100)
        postings = refund(amount, provider, currency)
        id = f"refund:{self._next()}"
        if amount > self.left[order]:
            with pytest.raises(Unbookable, match="what is left"):
                self.run(self.books.post(id, postings, refunded(order, provider)))
            return
        self._post(id, postings, refunded(order, provider))
        self.held[provider, currency] -= amount
        self.left[order] -= amount

    @rule(payment=payments)
    def charge_back(self, payment: tuple[str, str, str, int]) -> None:
        order, provider, currency, total = payment
        postings = sides((Chart.CHARGEBACKS, total), (Chart.clearing(provider), -total), currency=currency)
        about, id = About("chargeback", order, provider), f"chargeback:{self._next()}"
        if self.charged[order]:
            with pytest.raises(Unbookable, match="charged back"):
                self.run(self.books.post(id, postings, about))
            return
        self._post(id, postings, about)
        self.held[provider, currency] -= total
        self.charged[order] = total

    @rule(target=payouts, payment=payments, amount=amounts)
    def reserve_payout(self, payment: tuple[str, str, str, int], amount: int) -> Any:
        _, provider, currency, _ = payment
        id = f"payout:{self._next()}"
        postings = sides((Chart.BANK, amount), (Chart.clearing(provider), -amount), currency=currency)
        self.run(self.books.reserve(id, postings, About("payout", "", provider)))
        return multiple((id, provider, currency, amount))

    @rule(payout=consumes(payouts), arrives=st.booleans(), again=st.booleans())
    def resolve(self, payout: tuple[str, str, str, int], arrives: bool, again: bool) -> None:
        id, provider, currency, amount = payout
        for _ in range(1 + again):
            self.run(self.books.settle(id) if arrives else self.books.void(id))
        if arrives:
            self.held[provider, currency] -= amount

    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        if self.done:
            id, postings, about = data.draw(st.sampled_from(self.done))
            self.run(self.books.post(id, data.draw(st.permutations(postings)), about))

    @rule(amount=amounts)
    def crash(self, amount: int) -> None:
        """The process dies after the ledger wrote, before the caller's transaction ended."""
        order = self._next()

        async def fail() -> None:
            async with self.books.host.write() as connection:
                postings = sides((Chart.clearing("stripe"), amount), (Chart.SALES, -amount))
                await self.books.book.post(connection, f"payment:{order}", postings, "", paid(order))
                raise Crash

        with pytest.raises(Crash):
            self.run(fail())

    @invariant()
    def balances_are_the_models(self) -> None:
        if not hasattr(self, "books"):
            return
        for (provider, currency), minor in self.held.items():
            assert self.run(self.books.booked(Chart.clearing(provider), currency)) == minor

    def teardown(self) -> None:
        try:
            if hasattr(self, "books"):
                totals = self.run(agrees(self.books))
                for (provider, currency), minor in self.held.items():
                    held = totals.get((Chart.clearing(provider), currency), whole(0))
                    assert held == whole(minor, currency)
        finally:
            self.run(self.stack.aclose())
            self.runner.close()
            shutil.rmtree(self.directory)

    def _next(self) -> str:
        self.number += 1
        return str(self.number)

    def _post(self, id: str, postings: Sequence[Posting], about: About) -> None:
        self.run(self.books.post(id, postings, about))
        self.done.append((id, postings, about))


History.TestCase.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestHistories = History.TestCase
