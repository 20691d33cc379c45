"""What the operator sees of orders and does with them: pages, documents, files, verbs and metrics."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import html5lib
import pytest
from click.testing import CliRunner, Result

from origin.checkout.commands import checkout
from tests.origin.checkout.sandboxes import Market, market

BUYER = "budi@example.com"
EVIL = '<script>alert("x")</script>'


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Market]:
    async with market(tmp_path) as opened:
        yield opened


async def page(shop: Market, path: str, language: str = "en") -> tuple[int, str]:
    fields = {"Accept": "text/html", "Accept-Language": language}
    url = f"http://{shop.till.bound.admin}/plugins/checkout{path}"
    async with shop.till.client.get(url, headers=fields) as response:
        return response.status, await response.text()


async def done(shop: Market, id: str, deed: str, attempt: str = "a", **more: str) -> tuple[int, Any]:
    return await shop.desk("POST", f"/orders/{id}/do", {"do": deed, "attempt": attempt, **more})


async def paid(shop: Market, **changes: Any) -> str:
    id = await shop.buy(email=BUYER, **changes)
    await shop.becomes(id, "paid")
    return id


async def test_orders_are_found_by_id_reference_email_and_state(shop: Market) -> None:
    first = await paid(shop, reference="INV-7")
    other = (await shop.till.open())["id"]
    reference = await shop.reference(first)
    for query, found in (
        ("", [other, first]),
        (f"?q={first}", [first]),
        (f"?q={reference}", [first]),
        ("?q=INV-7", [first]),
        (f"?q={BUYER.upper()}", [first]),
        ("?state=paid", [first]),
        ("?state=open&q=", [other]),
        (f"?before={other}", [first]),
        ("?q=nobody", []),
        ("?q=%27%20OR%201%3D1--", []),
    ):
        _, told = await shop.desk("GET", f"/orders{query}")
        assert [one["id"] for one in told["orders"]] == found, query
        status, text = await page(shop, query)
        html5lib.HTMLParser(strict=True).parse(f"<!DOCTYPE html><title>x</title>{text}")
        assert (status, [f"/orders/{one}" in text for one in (first, other)]) == (
            200,
            [one in found for one in (first, other)],
        )


@pytest.mark.parametrize(
    ("query", "field"), [("?state=lost", "state"), (f"?q={'x' * 255}", "q"), ("?before=cs_nothing", "")]
)
async def test_a_search_that_makes_no_sense_is_refused_by_its_field(
    shop: Market, query: str, field: str
) -> None:
    status, problem = await shop.desk("GET", f"/orders{query}")
    assert status in (404, 422)
    assert not field or problem["errors"][0]["field"] == field


async def test_an_order_tells_its_history_its_transfers_and_its_refunds(shop: Market) -> None:
    id = await paid(shop)
    assert (await done(shop, id, "refund", amount="50000.00", reason=EVIL))[0] == 200
    status, told = await shop.desk("GET", f"/orders/{id}")
    assert status == 200
    what = [one["what"] for one in told["history"]]
    assert what[:2] == ["opened", "payment"]
    assert what.index("order.paid") < what.index("order.refunded")
    booked: dict[str, int] = {}
    for one in told["transfers"]:
        booked[one["transfer"]] = booked.get(one["transfer"], 0) + one["amount"]
    assert len(booked) >= 2, "the payment and its refund"
    assert set(booked.values()) == {0}, "both sides of each are shown"
    for language, word in (("en", "partly refunded"), ("id", "dikembalikan sebagian")):
        status, text = await page(shop, f"/orders/{id}", language)
        html5lib.HTMLParser(strict=True).parse(f"<!DOCTYPE html><title>x</title>{text}")
        assert (status, word in text, "Assets:Clearing:Sandbox" in text) == (200, True, True)
        assert EVIL not in text
        assert "&lt;script&gt;" in text
    assert (await page(shop, "/orders/cs_nothing"))[0] == 404


async def test_money_goes_back_once_for_an_attempt_and_never_more_than_came(shop: Market) -> None:
    id = await paid(shop)
    whole = (await shop.till.session(id))["paid"]
    for wrong in ("-1", "0", "1.234", "ten", "1e99", f"{whole}"):
        status, problem = await done(shop, id, "refund", attempt=wrong, amount=wrong)
        assert (status, problem["errors"][0]["field"]) == (422, "amount"), wrong
    assert (await shop.till.session(id))["refunded"] == 0
    for _ in range(2):
        status, told = await done(shop, id, "refund", attempt="first", amount="50000")
        assert (status, told["refund"], told["refunded"]) == (200, "done", 5_000_000)
    status, told = await done(shop, id, "refund", attempt="rest")
    assert (status, told["state"], told["refunded"]) == (200, "refunded", whole)
    assert (await done(shop, id, "refund", attempt="more"))[0] == 422
    assert (await done(shop, id, "refund", attempt=""))[1]["errors"][0]["field"] == "attempt"
    assert (await done(shop, id, "burn"))[1]["errors"][0]["field"] == "do"
    assert (await shop.sandbox.totals())["refunded"] == whole


async def test_an_order_that_is_not_paid_is_cancelled_and_a_paid_one_is_not(shop: Market) -> None:
    open_ = (await shop.till.open())["id"]
    status, told = await done(shop, open_, "cancel")
    assert (status, told["state"]) == (200, "cancelled")
    id = await paid(shop)
    status, problem = await done(shop, id, "cancel")
    assert (status, "paid" in problem["detail"]) == (409, True)
    assert (await done(shop, open_, "capture"))[0] == 409
    text = (await page(shop, f"/orders/{open_}"))[1]
    assert "<form" not in text, "nothing more can be done"
    text = (await page(shop, f"/orders/{id}"))[1]
    assert ['value="refund"' in text, 'value="cancel"' in text] == [True, False]


async def test_what_was_authorized_is_taken_once_from_the_desk(tmp_path: Path) -> None:
    async with market(tmp_path, capture="later") as shop:
        id = await shop.buy(email=BUYER)
        await shop.becomes(id, "authorized")
        whole = (await shop.till.session(id))["total"]
        assert 'value="capture"' in (await page(shop, f"/orders/{id}"))[1]
        assert (await shop.sandbox.totals())["captured"] == await shop.till.booked("sandbox") == 0
        refused = await done(shop, id, "capture", amount=f"{whole}")
        assert (refused[0], refused[1]["errors"][0]["field"]) == (422, "amount")
        status, told = await done(shop, id, "capture", attempt="first")
        assert (status, told["state"], told["paid"]) == (200, "paid", whole)
        await done(shop, id, "capture", attempt="second")
        assert (await shop.sandbox.totals())["captured"] == await shop.till.booked("sandbox") == whole
        assert await shop.till.reserved("sandbox") == 0
        assert 'value="capture"' not in (await page(shop, f"/orders/{id}"))[1]
        assert (await shop.till.emitted()).count("order.paid") == 1


async def test_orders_come_as_a_file_without_formulas(shop: Market) -> None:
    id = await paid(shop, reference="=1+1")
    url = f"http://{shop.till.bound.admin}/plugins/checkout/orders?as=csv"
    async with shop.till.client.get(url) as response:
        assert response.headers["Content-Type"].startswith("text/csv")
        (row,) = csv.DictReader(io.StringIO(await response.text()))
    assert (row["order"], row["state"], row["email"]) == (id, "paid", BUYER)
    assert row["reference"] == "'=1+1"
    assert row["total"] == row["paid"]


async def test_the_verbs_list_show_and_give_back(shop: Market, tmp_path: Path) -> None:
    id = await paid(shop)

    async def run(*words: str) -> Result:
        admin = ("--admin", f"http://{shop.till.bound.admin}")
        return await asyncio.to_thread(CliRunner().invoke, checkout, [*words, *admin])

    assert id in (await run("orders", "--state", "paid", "--find", BUYER)).output
    assert (await run("orders", "--csv", str(tmp_path / "orders.csv"))).exit_code == 0
    assert id in (tmp_path / "orders.csv").read_text()
    assert "partially_refunded; the refund is done" in (await run("refund", id, "--amount", "1000")).output
    shown = (await run("show", id)).output
    assert "order.refunded" in shown
    assert "Income:Refunds" in shown
    refused = await run("refund", id, "--amount", "-1")
    assert (refused.exit_code, "amount: got '-1'" in refused.output) == (1, True)
    assert (await run("cancel", id)).exit_code == 1
    assert (await run("orphans")).output == ""


async def test_metrics_tell_states_answers_failures_and_who_rests(shop: Market) -> None:
    await paid(shop)
    await shop.till.checkout._counting.count()
    shown = await metrics(shop)
    assert shown['tepi_origin_checkout_sessions{state="paid"}'] == 1
    assert shown['tepi_origin_checkout_sessions{state="failed"}'] == 0
    assert shown["tepi_origin_checkout_orphans"] == 0
    assert shown['tepi_origin_provider_answers_total{provider="sandbox"}'] >= 1
    assert shown['tepi_origin_provider_resting{provider="sandbox"}'] == 0
    waiting = (await shop.till.open())["id"]
    await shop.sandbox.end()
    for number in range(5):
        await shop.till.post(f"/sessions/{waiting}/payments", {"method": "card"}, f"try-{number}")
    shown = await metrics(shop)
    assert shown['tepi_origin_provider_failures_total{provider="sandbox"}'] >= 1
    assert shown['tepi_origin_provider_resting{provider="sandbox"}'] == 1


async def metrics(shop: Market) -> dict[str, float]:
    async with shop.till.client.get(f"http://{shop.till.bound.admin}/metrics") as response:
        lines = [line for line in (await response.text()).splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}
