"""The inventory on both engines: holds, orders, counts, refusals of the database, news for pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from origin.contract import OutOfStock, Stock
from origin.tracking.inventory.sheet import Line
from origin.tracking.inventory.store import Refusal
from tests.origin.ledger.books import ENGINES, database_url
from tests.origin.tracking.stockrooms import QUIET, SKU, Stockroom, open_stockroom

TAG = "sku-kop-gayo-250"


@pytest.fixture(params=ENGINES)
async def room(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stockroom]:
    with database_url(request.param) as url:
        async with open_stockroom(tmp_path, url) as found:
            yield found


async def test_checkouts_take_their_stock_here(room: Stockroom) -> None:
    stock: Stock = room.origin.shared.use("stock")
    assert stock is room.inventory


async def test_a_hold_becomes_an_order_and_leaves_the_shelf(room: Stockroom) -> None:
    await room.count(10)
    hold = await room.inventory.hold(SKU, 3, 60)
    assert await room.inventory.available(SKU) == 7
    with pytest.raises(LookupError):
        await room.inventory.pick(hold.id)
    await room.inventory.commit(hold.id)
    await room.inventory.release(hold.id)
    room.clock.now += 61
    await room.inventory.expire()
    assert await room.inventory.available(SKU) == 7, "an order has no lifetime"
    await room.inventory.pick(hold.id)
    assert await room.rows("SELECT on_hand, reserved FROM tracking_levels") == [(7, 0)]
    for again in (room.inventory.pick, room.inventory.commit):
        with pytest.raises(LookupError):
            await again(hold.id)
    kinds = [one["kind"] for one in await room.inventory.history(SKU, 10)]
    assert kinds == ["picked", "reserved", "counted"]
    await room.adds_up()


async def test_a_hold_ends_with_its_time_though_the_origin_was_away(tmp_path: Path) -> None:
    async with open_stockroom(tmp_path) as room:
        await room.count(2)
        hold = await room.inventory.hold(SKU, 2, 60)
        clock = room.clock
    clock.now += 59
    async with open_stockroom(tmp_path, clock=clock) as room:
        await room.inventory.expire()
        assert await room.inventory.available(SKU) == 0
        clock.now += 1
        await room.inventory.expire()
        assert await room.inventory.available(SKU) == 2
        with pytest.raises(LookupError):
            await room.inventory.commit(hold.id)
        await room.adds_up()


async def test_a_hold_takes_of_several_places_where_no_single_one_has_as_many(room: Stockroom) -> None:
    await room.count(4, "jkt")
    await room.count(3, "sby")
    hold = await room.inventory.hold(SKU, 6, 60)
    taken = await room.rows("SELECT location, quantity FROM tracking_hold_parts ORDER BY location")
    assert taken == [("jkt", 4), ("sby", 2)]
    await room.inventory.release(hold.id)
    await room.inventory.release(hold.id)
    assert await room.inventory.available(SKU) == 7
    await room.adds_up()


async def test_what_is_kept_back_is_never_promised(room: Stockroom) -> None:
    await room.count(5, safety=2)
    assert await room.inventory.available(SKU) == 3
    with pytest.raises(OutOfStock) as out:
        await room.inventory.hold(SKU, 4, 60)
    assert (out.value.sku, out.value.left) == (SKU, 3)


async def test_the_database_itself_refuses_what_must_not_be(room: Stockroom) -> None:
    await room.count(5)
    for statement in (
        "UPDATE tracking_levels SET on_hand = -1",
        "UPDATE tracking_levels SET reserved = -1",
        "UPDATE tracking_levels SET reserved = 6",
        "UPDATE tracking_movements SET on_hand = 9",
        "DELETE FROM tracking_movements",
    ):
        with pytest.raises(DBAPIError, match=r"tracking_|CHECK"):
            await room.change(statement)
    await room.adds_up()


async def test_a_list_with_one_wrong_row_changes_nothing(room: Stockroom) -> None:
    await room.count(5)
    hold = await room.inventory.hold(SKU, 4, 60)
    lines = [
        (2, Line(sku="NEW", location="jkt", quantity=9)),
        (3, Line(sku=SKU, location="nowhere", quantity=9)),
        (4, Line(sku=SKU, location="jkt", quantity=3, low=4)),
    ]
    wrong = await room.inventory.count(lines, "ani", preview=False)
    assert [(one.row, one.field) for one in wrong] == [(3, "location"), (4, "quantity")]
    assert "'nowhere', expected one of jkt, sby" in wrong[0].detail
    assert "got 3, expected 4 or more" in wrong[1].detail
    assert [one["sku"] for one in await room.inventory.stock()] == [SKU]
    await room.inventory.release(hold.id)
    good = [lines[0], lines[2]]
    assert await room.inventory.count(good, "ani", preview=True) == []
    assert await room.inventory.available(SKU) == 5, "a preview changes nothing"
    assert await room.inventory.count(good, "ani", preview=False) == []
    assert (await room.inventory.available(SKU), await room.inventory.available("NEW")) == (3, 9)
    await room.adds_up()


async def test_two_lists_at_once_do_not_wait_for_each_other_for_ever(room: Stockroom) -> None:
    lines = [(n, Line(sku=f"S-{n}", location="jkt", quantity=n)) for n in range(2, 30)]
    async with asyncio.timeout(60):
        found = await asyncio.gather(
            *(room.inventory.count(order, "ani", preview=False) for order in (lines, lines[::-1]))
        )
    assert found == [[], []]
    await room.adds_up()


async def test_deliveries_come_in_and_say_when_to_order_again(room: Stockroom) -> None:
    await room.count(2, reorder_point=3)
    assert (await room.inventory.stock())[0]["reorder"]
    await room.inventory.receive(SKU, "sby", 5, "PO-7")
    assert not (await room.inventory.stock())[0]["reorder"]
    assert await room.inventory.available(SKU) == 7
    for quantity, location, field in (
        (0, "sby", "quantity"),
        (10**7, "sby", "quantity"),
        (1, "x", "location"),
    ):
        with pytest.raises(Refusal) as refused:
            await room.inventory.receive(SKU, location, quantity, "")
        assert refused.value.field == field
    with pytest.raises(LookupError, match="no stock of NONE"):
        await room.inventory.receive("NONE", "sby", 1, "")
    await room.adds_up()


async def test_pages_are_told_of_crossings_and_not_of_pieces(room: Stockroom) -> None:
    await room.count(50)
    assert await room.purged() == [TAG]
    room.clock.now += QUIET
    for _ in range(44):
        await room.buy()
    assert await room.purged() == [TAG], "44 pieces less is nothing that pages say"
    await room.buy()
    assert await room.purged() == [TAG] * 2, "few are left"
    for _ in range(5):
        await room.buy()
    assert await room.purged() == [TAG] * 3, "sold out, at once"


async def test_a_storm_of_crossings_makes_one_purge(room: Stockroom) -> None:
    await room.count(1)
    room.clock.now += QUIET
    for _ in range(20):
        hold = await room.inventory.hold(SKU, 1, 60)
        await room.inventory.release(hold.id)
        await room.inventory.settle()
    assert await room.purged() == [TAG] * 2, "opened, and out: what came back in the storm waits"
    assert [one["says"] for one in await room.inventory.stock()] == ["out"]
    room.clock.now += QUIET
    await room.inventory.settle()
    await room.inventory.settle()
    assert await room.purged() == [TAG] * 3
    assert [one["says"] for one in await room.inventory.stock()] == ["low"]


async def test_nonsense_is_refused(room: Stockroom) -> None:
    await room.count(1)
    for quantity in (0, -1):
        with pytest.raises(ValueError, match=f"quantity: got {quantity}"):
            await room.inventory.hold(SKU, quantity, 60)
    for call in (
        room.inventory.available("NO"),
        room.inventory.commit("NO"),
        room.inventory.pick("NO"),
        room.inventory.history("NO", 1),
    ):
        with pytest.raises(LookupError):
            await call
    await room.inventory.release("NO")
    with pytest.raises(OutOfStock) as out:
        await room.inventory.hold("NO", 1, 60)
    assert (out.value.sku, out.value.left) == ("NO", 0)
