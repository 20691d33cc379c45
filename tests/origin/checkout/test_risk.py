"""The checkout asks risk before a provider, and tells it what became of orders."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from origin.checkout.plugin import Checkout
from origin.ledger.plugin import LedgerPlugin
from origin.risk.plugin import RiskPlugin
from origin.storefront.plugin import Storefront
from tests.origin.checkout.sandboxes import Market, account, free_port, sandbox, wiring
from tests.origin.checkout.till import Till
from tests.origin.risk.desks import Desks, ruleset
from tests.origin.standing import Clock, running


@dataclass(slots=True)
class Guarded:
    """A market whose payments are judged."""

    market: Market
    desks: Desks


@asynccontextmanager
async def guarded(directory: Path) -> AsyncIterator[Guarded]:
    port = free_port()
    kinds = (Checkout, LedgerPlugin, RiskPlugin, Storefront)
    listen = f"127.0.0.1:{port}"
    async with sandbox(directory, f"http://{listen}/commerce/hooks/sandbox") as provider:
        tables = {"checkout": {"providers": account(provider)}}
        async with (
            running(directory / "origin", *kinds, wiring=wiring(), tables=tables, listen=listen) as (
                origin,
                bound,
            ),
            aiohttp.ClientSession() as client,
        ):
            till = Till(origin, bound, client, Clock())
            yield Guarded(Market(till, provider), Desks(origin, Clock()))


async def test_a_blocked_attempt_is_refused_and_kept_and_asks_nobody(tmp_path: Path) -> None:
    async with guarded(tmp_path) as shop:
        await shop.desks.desk.keep(ruleset(("all", "block", "true")), "test")
        session = await shop.market.till.open()
        got = await shop.market.till.post(f"/sessions/{session['id']}/payments", {"method": "card"})
        assert got.status >= 400, got.text
        (kept,) = await shop.desks.desk.of_order(session["id"])
        assert (kept["action"], kept["matched"]) == ("block", ["all"])
        assert (await shop.market.till.session(session["id"]))["state"] == "open"
        assert (await shop.market.sandbox.totals())["captured"] == 0
        assert await shop.desks.rows("SELECT count(*) FROM checkout_payments") == [(0,)]


async def test_what_is_allowed_is_paid_and_risk_learns_it(tmp_path: Path) -> None:
    async with guarded(tmp_path) as shop:
        await shop.desks.desk.keep(ruleset(("large", "review", "amount > 1.0")), "test")
        session = await shop.market.buy()
        await shop.market.becomes(session, "paid")
        (kept,) = await shop.desks.desk.of_order(session)
        assert (kept["action"], kept["review"], kept["outcome"]) == ("review", "open", "paid")
