"""The checkout asks risk before a provider, and tells it what became of orders."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from origin.checkout.assessing import answered, held_for
from origin.checkout.plugin import Checkout
from origin.contract import Verdict
from origin.ledger.plugin import LedgerPlugin
from origin.risk.plugin import RiskPlugin
from origin.storefront.plugin import Storefront
from tests.origin.checkout.sandboxes import Market, account, free_port, sandbox, wiring
from tests.origin.checkout.test_pages import CONTACT, SAME
from tests.origin.checkout.test_progress import session as order_of
from tests.origin.checkout.till import COFFEE, Till
from tests.origin.risk.desks import Desks, ruleset
from tests.origin.standing import Clock, eventually, running


@dataclass(slots=True)
class Guarded:
    """A market whose payments are judged."""

    market: Market
    desks: Desks

    async def waits(self, session: str, state: str) -> str:
        """The decision that the order waits for, once it is in `state` and that was heard."""
        await self.market.becomes(session, state)
        await eventually(self.heard, 30)
        found, _ = await self.market.till.checkout.sessions.find(session)
        assert (found.review, found.stock) == ("open", "held")
        (waiting,) = await self.desks.desk.waiting()
        return str(waiting["id"])

    async def heard(self) -> bool:
        """Whether every event was taken."""
        left = await self.desks.rows("SELECT id FROM outbox WHERE kind = 'event' AND done_at IS NULL")
        return not left

    async def ends(self, session: str, stock: str) -> None:
        """Waits until the order's goods are `stock`."""

        async def are() -> bool:
            found, _ = await self.market.till.checkout.sessions.find(session)
            return found.stock == stock

        await eventually(are, 30)

    async def available(self) -> int:
        return await self.market.till.store.available(COFFEE)


@asynccontextmanager
async def guarded(directory: Path, **checkout: Any) -> AsyncIterator[Guarded]:
    port = free_port()
    kinds = (Checkout, LedgerPlugin, RiskPlugin, Storefront)
    listen = f"127.0.0.1:{port}"
    async with sandbox(directory, f"http://{listen}/commerce/hooks/sandbox") as provider:
        tables = {"checkout": {**checkout, "providers": account(provider)}}
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


async def test_rules_see_the_browsers_mark_and_how_long_its_page_was_looked_at(tmp_path: Path) -> None:
    async with guarded(tmp_path) as shop:
        till = shop.market.till
        path = f"/commerce/checkout/{(await till.open())['id']}"
        cookie = (await till.ask("GET", path)).fields["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "Path=/commerce/checkout;" in cookie
        mark = {**SAME, "Cookie": cookie.partition(";")[0]}
        assert "Set-Cookie" not in (await till.ask("GET", path, headers=mark)).fields
        known = []
        for forged, fields in ((False, mark), (True, SAME), (True, {**SAME, "Cookie": "tepi_device=me"})):
            id = (await till.open())["id"]
            page = await till.ask("GET", f"/commerce/checkout/{id}")
            (seen,) = re.findall(r'name="seen" value="([^"]+)"', page.text)
            form = {**CONTACT, "method": "qris", "seen": f"1{seen}" if forged else seen}
            where = f"/commerce/checkout/{id}/pay"
            got = await till.ask("POST", where, data=form, headers=fields, allow_redirects=False)
            assert got.status == 303, got.text
            known += [one["facts"] for one in await shop.desks.desk.of_order(id)]
        assert [one["has_device"] for one in known] == [True, False, False]
        assert [one["page_age"] >= 0 for one in known] == [True, False, False]


REVIEW_ALL = ruleset(("all", "review", "true"))


async def test_a_paid_order_under_review_keeps_its_goods_until_it_is_approved(tmp_path: Path) -> None:
    async with guarded(tmp_path) as shop:
        await shop.desks.desk.keep(REVIEW_ALL, "test")
        before = await shop.available()
        session = await shop.market.buy()
        decision = await shop.waits(session, "paid")
        await shop.desks.desk.review(decision, True, "sari")
        await shop.ends(session, "committed")
        assert await shop.available() == before - 2
        assert await shop.market.till.emitted() == ["order.paid", "risk.reviewed"]
        assert (await shop.market.sandbox.totals())["refunded"] == 0


async def test_a_rejected_order_that_was_paid_gets_its_money_back_and_its_goods_are_for_sale(
    tmp_path: Path,
) -> None:
    async with guarded(tmp_path) as shop:
        await shop.desks.desk.keep(REVIEW_ALL, "test")
        before = await shop.available()
        session = await shop.market.buy()
        decision = await shop.waits(session, "paid")
        await shop.desks.desk.review(decision, False, "sari")
        await shop.ends(session, "released")
        await shop.market.becomes(session, "refunded")
        totals = await shop.market.sandbox.totals()
        assert totals["refunded"] == totals["captured"] > 0
        assert await shop.available() == before
        assert await shop.market.till.booked("sandbox") == 0


async def test_an_authorized_order_is_not_captured_under_review_and_let_go_when_rejected(
    tmp_path: Path,
) -> None:
    async with guarded(tmp_path, capture="later") as shop:
        await shop.desks.desk.keep(REVIEW_ALL, "test")
        before = await shop.available()
        session = await shop.market.buy()
        decision = await shop.waits(session, "authorized")
        status, problem = await shop.market.desk("POST", f"/orders/{session}/capture", {})
        assert (status, problem["type"]) == (409, "urn:tepi:problem:review")
        await shop.desks.desk.review(decision, False, "sari")
        await shop.ends(session, "released")
        await shop.market.becomes(session, "cancelled")
        assert (await shop.market.sandbox.totals())["captured"] == 0
        assert await shop.available() == before
        got = await shop.market.till.post(f"/sessions/{session}/payments", {"method": "card"})
        assert got.status == 409


async def test_an_answer_that_comes_before_the_money_holds_for_it(tmp_path: Path) -> None:
    async with guarded(tmp_path) as shop:
        await shop.desks.desk.keep(REVIEW_ALL, "test")
        session = str((await shop.market.till.open())["id"])
        await shop.market.begin(session)
        (waiting,) = await shop.desks.desk.waiting()
        await shop.desks.desk.review(waiting["id"], True, "sari")
        await eventually(shop.heard, 30)
        found, _ = await shop.market.till.checkout.sessions.find(session)
        assert (found.review, found.stock) == ("approved", "held")
        await shop.market.sandbox.pay(await shop.market.reference(session))
        await shop.ends(session, "committed")


async def test_a_provider_that_does_not_answer_is_told_later_of_the_rejection(tmp_path: Path) -> None:
    async with guarded(tmp_path, capture="later") as shop:
        await shop.desks.desk.keep(REVIEW_ALL, "test")
        session = await shop.market.buy()
        decision = await shop.waits(session, "authorized")
        await shop.market.sandbox.kill()
        await shop.desks.desk.review(decision, False, "sari")
        await shop.ends(session, "released")
        assert (await shop.market.till.session(session))["state"] == "authorized"
        await shop.market.sandbox.start()
        await shop.market.becomes(session, "cancelled")


async def test_the_providers_card_is_judged_before_the_goods_leave(tmp_path: Path) -> None:
    async with guarded(tmp_path) as shop:
        await shop.desks.desk.keep(ruleset(("foreign", "review", "card_country == 'US'")), "test")
        before = await shop.available()
        session = str((await shop.market.till.open())["id"])
        await shop.market.begin(session)
        (first,) = await shop.desks.desk.of_order(session)
        assert (first["action"], first["facts"]["card_country"]) == ("allow", "")
        card = {"fingerprint": "fp_stolen", "country": "US"}
        await shop.market.sandbox.pay(await shop.market.reference(session), card=card)
        decision = await shop.waits(session, "paid")
        _, second = await shop.desks.desk.of_order(session)
        assert (second["id"], second["facts"]["card_country"], second["outcome"]) == (decision, "US", "paid")
        await shop.desks.desk.review(decision, False, "sari")
        await shop.market.becomes(session, "refunded")
        await shop.ends(session, "released")
        assert await shop.available() == before


async def test_a_card_that_rules_block_gets_its_money_back_and_no_goods(tmp_path: Path) -> None:
    async with guarded(tmp_path) as shop:
        await shop.desks.desk.keep(ruleset(("stolen", "block", "card_day >= 1")), "test")
        before, card = await shop.available(), {"fingerprint": "fp_1", "country": "ID"}
        for state in ("paid", "refunded"):
            session = str((await shop.market.till.open())["id"])
            await shop.market.begin(session)
            await shop.market.sandbox.pay(await shop.market.reference(session), card=card)
            await shop.market.becomes(session, state)
        await shop.ends(session, "released")
        assert await shop.available() == before - 2


def test_every_review_must_be_approved_and_one_rejection_refuses() -> None:
    def verdict(decision: str) -> Verdict:
        return Verdict(decision, "review", False, ())

    order = held_for(held_for(order_of(), verdict("a")), verdict("b"))
    first = answered(order, "a", approved=True)
    assert (order.review, first.review) == ("open", "open")
    assert answered(first, "b", approved=True).review == "approved"
    assert answered(first, "b", approved=False).review == "rejected"
    assert answered(first, "a", approved=False) == first
    assert answered(first, "never", approved=True) == first
    assert held_for(first, verdict("a")) == first
    assert held_for(order, Verdict("c", "allow", False, ())) == order
