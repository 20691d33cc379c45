"""Disputes, fees and payouts: whatever is told, in whatever order, the books say what the provider holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from origin.checkout.claims import AWAY, entries, later, movement
from origin.checkout.providers.contract import DisputeState, PayoutState
from origin.checkout.tables import disputes, orphans
from origin.contract import Chart
from origin.ledger.plugin import LedgerPlugin
from tests.origin.checkout.sandboxes import Market, market
from tests.origin.checkout.test_risk import guarded
from tests.origin.checkout.till import PRICE
from tests.origin.ledger.books import Books
from tests.origin.ledger.judge import agrees
from tests.origin.standing import Clock, eventually

TOTAL = 2 * PRICE


@given(st.lists(st.sampled_from(get_args(DisputeState)), max_size=8))
def test_money_is_away_exactly_while_a_claim_is_open_or_lost(news: Sequence[DisputeState]) -> None:
    state: DisputeState | None = None
    away = 0
    for said in news:
        now = later(state, said)
        away += {"chargeback": 1, "reversal": -1, None: 0}[movement(state, now)]
        state = now
        assert away == (state in AWAY)
        assert movement(state, later(state, said)) is None, "the same word again moves nothing"


@given(st.lists(st.sampled_from(get_args(PayoutState)), max_size=6))
def test_a_payout_is_reserved_before_it_is_posted_or_voided_and_only_once(
    news: Sequence[PayoutState],
) -> None:
    state: PayoutState | None = None
    done: list[str] = []
    for said in news:
        todo = entries(state, said)
        done += todo
        if todo or state is None:
            state = said
    assert tuple(done) in {
        (), ("reserve",), ("reserve", "post"), ("reserve", "void"), ("reserve", "post", "reverse"),
    }  # fmt: skip


async def told(shop: Market, session: str, **dispute: Any) -> None:
    reference = await shop.reference(session)
    await shop.sandbox.call("POST", f"/v1/payments/{reference}/disputes", {"id": "dp_1", **dispute})


async def balances(shop: Market, *accounts: str) -> list[int]:
    plugin = shop.till.origin.plugins["ledger"]
    assert isinstance(plugin, LedgerPlugin)
    found = [await plugin.book.balance(one) for one in accounts]
    return [one["IDR"].booked.minor if one else 0 for one in found]


async def judge(shop: Market) -> None:
    """Beancount finds nothing, and agrees."""
    plugin = shop.till.origin.plugins["ledger"]
    assert isinstance(plugin, LedgerPlugin)
    await agrees(Books(shop.till.origin, plugin, Clock()))


async def test_a_dispute_takes_the_money_and_gives_it_back_when_it_is_won(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        await shop.sandbox.behave(repeat=2, shuffle=True)
        session = await shop.buy()
        await shop.becomes(session, "paid")
        await told(shop, session, state="inquiry", amount=TOTAL)
        await shop.sandbox.quiet()
        assert await shop.till.booked("sandbox") == TOTAL
        await told(shop, session, state="opened", amount=TOTAL, fee=1_500)
        await shop.sandbox.quiet()
        accounts = (Chart.clearing("sandbox"), Chart.CHARGEBACKS, Chart.fees("sandbox"))
        assert await balances(shop, *accounts) == [-1_500, TOTAL, 1_500]
        status, problem = await shop.desk("POST", f"/orders/{session}/refunds", {})
        assert (status, problem["errors"][0]["field"]) == (422, "amount"), "the buyer has it already"
        await told(shop, session, state="won", amount=TOTAL, fee=1_500)
        await told(shop, session, state="opened", amount=TOTAL, fee=1_500)
        await shop.sandbox.quiet()
        assert await balances(shop, *accounts) == [TOTAL - 1_500, 0, 1_500]
        await judge(shop)
        names = [name for name in await shop.till.emitted() if "disput" in name]
        assert names == ["order.disputed", "order.dispute_won"]


async def test_risk_learns_which_orders_were_disputed(tmp_path: Path) -> None:
    async with guarded(tmp_path) as shop:
        session = await shop.market.buy()
        await shop.market.becomes(session, "paid")
        await told(shop.market, session, state="inquiry", amount=TOTAL)
        await shop.market.sandbox.quiet()
        (kept,) = await shop.desks.desk.of_order(session)
        assert kept["outcome"] == "paid"
        await told(shop.market, session, state="lost", amount=TOTAL)
        await shop.market.sandbox.quiet()
        (kept,) = await shop.desks.desk.of_order(session)
        assert kept["outcome"] == "disputed"


async def test_more_than_was_paid_cannot_be_disputed_and_is_kept_as_an_orphan(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        session = await shop.buy()
        await shop.becomes(session, "paid")
        await told(shop, session, state="opened", amount=TOTAL + 1)
        await shop.sandbox.quiet()
        async with shop.till.origin.database.read() as connection:
            found = await connection.execute(select(func.count()).select_from(orphans))
            kept = await connection.execute(select(func.count()).select_from(disputes))
            assert (found.scalar_one(), kept.scalar_one()) == (1, 0)
        assert await shop.till.booked("sandbox") == TOTAL


async def test_fees_and_payouts_are_booked_as_the_provider_tells_of_them(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        await shop.sandbox.behave(repeat=2)
        session = await shop.till.open()
        await shop.begin(session["id"])
        await shop.sandbox.pay(await shop.reference(session["id"]), fee=4_400)
        await shop.becomes(session["id"], "paid")
        accounts = (Chart.clearing("sandbox"), Chart.fees("sandbox"), Chart.BANK)
        assert await balances(shop, *accounts) == [TOTAL - 4_400, 4_400, 0]
        payout = {"id": "po_1", "amount": TOTAL - 4_400, "currency": "IDR"}
        for state, held, bank in (
            ("pending", TOTAL - 4_400, 0),
            ("paid", 0, TOTAL - 4_400),
            ("failed", TOTAL - 4_400, 0),
        ):
            await shop.sandbox.call("POST", "/v1/payouts", {**payout, "state": state})
            await shop.sandbox.quiet()
            assert await balances(shop, *accounts) == [held, 4_400, bank]
        await judge(shop)


async def test_a_claim_that_is_told_before_the_payment_waits_for_it(tmp_path: Path) -> None:
    async with market(tmp_path) as shop:
        session = await shop.till.open()
        await shop.begin(session["id"])
        await told(shop, session["id"], state="opened", amount=TOTAL)
        await shop.sandbox.pay(await shop.reference(session["id"]))
        await shop.becomes(session["id"], "paid")
        await told(shop, session["id"], state="opened", amount=TOTAL)

        async def taken_back() -> bool:
            return await shop.till.booked("sandbox") == 0

        await eventually(taken_back, 30)
