"""Parcels: carriers' words as canonical statuses, webhooks in any order, pages purged by each scan."""

from __future__ import annotations

import base64
import json
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from edge.webhooks.standard import sign
from origin.app import Bound, Origin, Wiring
from origin.db.tables import outbox
from origin.tracking.parcels.scans import (
    FINAL,
    STATUSES,
    Scan,
    Unreadable,
    canonical,
    mappings,
    read_news,
    status_of,
)
from origin.tracking.plugin import Tracking
from tests.origin.ledger.books import ENGINES, database_url
from tests.origin.standing import NOON, Clock, running
from tests.origin.tracking.stockrooms import open_stockroom

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes for the tests!!").decode()
EZ = "EZ1000000001"


def easypost(*details: tuple[str, str, str]) -> dict[str, Any]:
    """An event of a tracker, as EasyPost sends it: status, datetime and city of each detail."""
    return {
        "id": "evt_1",
        "object": "Event",
        "description": "tracker.updated",
        "result": {
            "object": "Tracker",
            "tracking_code": EZ,
            "tracking_details": [
                {
                    "object": "TrackingDetail",
                    "status": status,
                    "message": f"it is {status}",
                    "datetime": at,
                    "tracking_location": {"city": city, "country": "ID"},
                }
                for status, at, city in details
            ],
        },
    }


SENT = ("in_transit", "2026-11-20T08:00:00Z", "Jakarta")
OUT = ("out_for_delivery", "2026-11-21T02:00:00Z", "Bandung")
HERE = ("delivered", "2026-11-21T06:30:00Z", "Bandung")


@dataclass(slots=True)
class Desk:
    origin: Origin
    bound: Bound
    client: aiohttp.ClientSession
    count: int = 0

    async def hook(self, carrier: str, document: Any, id: str = "") -> int:
        self.count += 1
        id, body = id or f"msg_{self.count}", json.dumps(document).encode()
        fields = {
            "webhook-id": id,
            "webhook-timestamp": str(int(NOON)),
            "webhook-signature": sign(SECRET, id, int(NOON), body),
        }
        url = f"http://{self.bound.plain}/commerce/hooks/{carrier}"
        async with self.client.post(url, data=body, headers=fields) as response:
            return response.status

    async def expect(self, carrier: str, code: str) -> tuple[int, Any]:
        url = f"http://{self.bound.admin}/plugins/tracking/parcels"
        async with self.client.post(url, json={"carrier": carrier, "code": code}) as response:
            return response.status, await response.json()

    async def show(self, number: str) -> tuple[int, Any, str]:
        url = f"http://{self.bound.plain}/commerce/tracking/{number}"
        async with self.client.get(url) as response:
            tags = response.headers.get("Cache-Tag", "")
            return response.status, await response.json(content_type=None), tags

    async def orphans(self) -> list[dict[str, Any]]:
        async with self.client.get(f"http://{self.bound.admin}/plugins/tracking/orphans") as response:
            kept: list[dict[str, Any]] = (await response.json())["orphans"]
            return kept

    async def counted(self) -> dict[str, float | None]:
        """Orphans by reason, as Prometheus is told of them."""
        plugin = self.origin.plugins["tracking"]
        assert isinstance(plugin, Tracking)
        await plugin.parcels.orphans.count()
        return {
            reason: self.origin.registry.get_sample_value(
                "tepi_origin_tracking_orphans", {"carrier": "easypost", "reason": reason}
            )
            for reason in ("unexpected", "unreadable")
        }

    async def left(self, kind: str) -> list[str]:
        async with self.origin.database.read() as connection:
            asked = select(outbox.c.name).where(outbox.c.kind == kind).order_by(outbox.c.number)
            return list((await connection.execute(asked)).scalars())


@asynccontextmanager
async def open_desk(directory: Path) -> AsyncIterator[Desk]:
    wiring = Wiring(Clock(), lambda: 0.5, webhook_secret=SECRET)
    async with (
        running(directory, Tracking, wiring=wiring) as (origin, bound),
        aiohttp.ClientSession() as client,
    ):
        yield Desk(origin, bound, client)


async def test_a_parcel_is_shown_as_its_carrier_says_and_purged_by_each_scan(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        _, made = await desk.expect("easypost", EZ)
        number = made["number"]
        assert await desk.expect("easypost", EZ) == (200, made)
        assert (await desk.show(number))[1]["status"] == "pending"
        assert await desk.hook("easypost", easypost(SENT, OUT)) == 200
        status, shown, tags = await desk.show(number)
        assert (status, tags, shown["status"]) == (200, f"parcel-{number}", "out_for_delivery")
        assert shown["@type"] == "ParcelDelivery"
        assert [one["place"] for one in shown["timeline"]] == ["Bandung", "Jakarta"]
        assert EZ not in json.dumps(shown), "the carrier's number can be walked through: it stays here"
        assert await desk.left("purge") == [f"parcel-{number}"]
        assert await desk.hook("easypost", easypost(SENT, OUT, HERE)) == 200
        assert (await desk.show(number))[1]["deliveryStatus"] == "https://schema.org/OrderDelivered"
        assert await desk.left("purge") == [f"parcel-{number}"] * 2
        assert await desk.left("event") == ["parcel.moved"] * 2


async def test_late_and_twice_change_nothing_wrongly(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        number = (await desk.expect("easypost", EZ))[1]["number"]
        await desk.hook("easypost", easypost(HERE), "msg_a")
        assert await desk.hook("easypost", easypost(HERE), "msg_a") == 200, "the same webhook"
        assert await desk.hook("easypost", easypost(HERE)) == 200, "the same scan in another"
        assert await desk.left("purge") == [f"parcel-{number}"]
        await desk.hook("easypost", easypost(OUT, SENT, SENT))
        _, shown, _ = await desk.show(number)
        assert shown["status"] == "delivered"
        assert [one["status"] for one in shown["timeline"]] == ["delivered", "out_for_delivery", "in_transit"]
        assert await desk.left("event") == ["parcel.moved"]


async def test_what_comes_before_the_parcel_waits_for_it_and_what_cannot_be_read_is_kept(
    tmp_path: Path,
) -> None:
    async with open_desk(tmp_path) as desk:
        wrong = easypost(("in_transit", "yesterday \0", "Jakarta"))
        for document in (easypost(SENT), easypost(SENT, OUT), wrong):
            assert await desk.hook("easypost", document) == 200
        kept = await desk.orphans()
        assert [one["code"] for one in kept if not one["problem"]] == [EZ, EZ]
        (unreadable,) = (one for one in kept if one["problem"])
        assert unreadable["problem"].startswith("result.tracking_details.datetime: got 'yesterday")
        assert unreadable["document"] == wrong
        assert await desk.counted() == {"unexpected": 2.0, "unreadable": 1.0}
        number = (await desk.expect("easypost", EZ))[1]["number"]
        _, shown, _ = await desk.show(number)
        assert [one["status"] for one in shown["timeline"]] == ["out_for_delivery", "in_transit"]
        assert await desk.left("event") == ["parcel.moved"], "once, with all that waited"
        assert await desk.orphans() == [unreadable]
        assert await desk.counted() == {"unexpected": 0.0, "unreadable": 1.0}


@pytest.mark.parametrize("engine", ENGINES)
async def test_what_waited_is_given_once_on_each_database(engine: str, tmp_path: Path) -> None:
    with database_url(engine) as url:
        async with open_stockroom(tmp_path, url) as room:
            plugin = room.origin.plugins["tracking"]
            assert isinstance(plugin, Tracking)
            for document in (easypost(SENT), easypost(SENT, OUT), easypost(("x", "\0", "\0"))):
                async with room.origin.database.write() as connection:
                    await plugin.parcels.take("easypost", connection, document)
            number = await plugin.parcels.expect("easypost", EZ)
            assert await plugin.parcels.expect("easypost", EZ) == number
            assert [len(one["problem"]) > 0 for one in await plugin.parcels.orphans.listed(9)] == [True]
            assert await room.purged() == [f"parcel-{number}"]


async def test_a_word_that_nobody_knows_is_kept_and_alarmed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_desk(tmp_path) as desk:
        number = (await desk.expect("easypost", EZ))[1]["number"]
        with caplog.at_level(logging.ERROR, "tepi.tracking"):
            await desk.hook("easypost", easypost(SENT, ("teleported", "2026-11-22T00:00:00Z", "Mars \ud800")))
        _, shown, _ = await desk.show(number)
        assert (shown["status"], shown["timeline"][0]["said"]) == ("in_transit", "teleported")
        assert shown["timeline"][0]["status"] == "unknown"
        assert "says 'teleported', which nobody knows" in caplog.text


async def test_numbers_are_not_guessed_and_nonsense_is_refused(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        number = (await desk.expect("easypost", EZ))[1]["number"]
        assert len(number) == 32
        for wrong in (EZ, "0" * 32, number[:-1]):
            assert (await desk.show(wrong))[0] == 404
        for carrier, code, word in (
            ("pigeon", EZ, "carrier: got 'pigeon'"),
            ("easypost", "A B", "code: got 'A B'"),
        ):
            status, problem = await desk.expect(carrier, code)
            assert (status, word in problem["detail"]) == (422, True)
        stranger = easypost(SENT)
        stranger["result"]["tracking_code"] = "EZ999"
        assert await desk.hook("easypost", stranger) == 200
        assert (
            await desk.hook("easypost", {"description": "batch.created", "result": {"id": "batch_1"}}) == 200
        )
        assert await desk.left("purge") == []


def test_each_mapping_leads_to_a_canonical_status() -> None:
    for carrier, words in mappings().items():
        assert set(words.values()) <= set(STATUSES), carrier
        assert all(word == word.lower() for word in words)
    assert {len(words) for words in mappings().values()} == {10, 9, 6}
    assert canonical("aftership", "OutForDelivery") == "out_for_delivery"
    assert canonical("shippo", "RETURNED") == "return_to_sender"


@pytest.mark.parametrize(
    ("carrier", "document"),
    [
        (
            "aftership",
            {"msg": {"tracking_number": "A1", "checkpoints": [
                {"tag": "Delivered", "checkpoint_time": "2026-11-21T13:30:00+07:00", "city": "Bandung",
                 "message": "Given"}]}},
        ),
        (
            "shippo",
            {"event": "track_updated", "data": {"tracking_number": "A1", "tracking_history": [
                {"status": "DELIVERED", "status_date": "2026-11-21T06:30:00Z", "status_details": "Given",
                 "location": {"city": "Bandung"}}]}},
        ),
    ],
)  # fmt: skip
def test_other_carriers_say_the_same_in_their_words(carrier: str, document: dict[str, Any]) -> None:
    news = read_news(carrier, document)
    assert news is not None
    (scan,) = news.scans
    assert (news.code, scan.at, scan.status, scan.place, scan.text) == (
        "A1", 1_795_242_600.0, "delivered", "Bandung", "Given",
    )  # fmt: skip


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["result", "tracking_code", "tracking_details", "status", "datetime", "tracking_location"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.just("result"), json_values))
def test_whatever_a_carrier_sends_is_read_or_refused(document: dict[str, Any]) -> None:
    try:
        read_news("easypost", document)
    except Unreadable as error:
        assert str(error).startswith("result.")


@given(
    st.lists(st.builds(Scan, st.integers(0, 9), st.just("x"), st.sampled_from(STATUSES)), max_size=8),
    st.randoms(use_true_random=False),
)
def test_what_ended_stays_ended_and_the_order_of_arrival_counts_for_nothing(
    scans: list[Scan], chance: random.Random
) -> None:
    times: dict[float, Scan] = {scan.at: scan for scan in scans}
    mixed = list(times.values())
    chance.shuffle(mixed)
    assert status_of(mixed) == status_of(times.values())
    ended = sorted((scan for scan in times.values() if scan.status in FINAL), key=lambda scan: scan.at)
    if ended:
        assert status_of(mixed) == ended[-1].status
