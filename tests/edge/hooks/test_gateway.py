"""Webhooks through a node: what is taken, what is refused, what the origin gets and when."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge.config import parse_edge
from edge.document.problems import Refused
from edge.hooks.handover import Delivered, Later, Never, judged, pause
from tests.edge import nodes
from tests.edge.hooked import STRIPE, Notes, document, event, hooked, send, stripe_field
from tests.edge.nodes import Edge, node
from tests.edge.wires import eventually, free_port, origin

FORGED = stripe_field(event(1), secret="guessed")


def account(provider: str, **settings: str) -> dict[str, Any]:
    return {"provider": provider, "settings": settings}


def held(edge: Edge) -> int:
    assert edge.running.hooks is not None
    return edge.running.hooks.waiting


async def ask(edge: Edge, verb: str, *letters: str, every: bool = False) -> dict[str, Any]:
    body = {"verb": verb, "letters": list(letters), "every": every}
    async with aiohttp.ClientSession() as session, session.post(f"{edge.admin}/hooks", json=body) as response:
        told: dict[str, Any] = await response.json(content_type=None)
        return {"status": response.status, **told}


async def metrics(edge: Edge) -> str:
    async with aiohttp.ClientSession() as session, session.get(f"{edge.admin}/metrics") as response:
        return await response.text()


async def test_an_event_is_taken_and_handed_on_signed_once(tmp_path: Path) -> None:
    notes = Notes()
    async with hooked(tmp_path, notes) as (edge, _):
        replies = [await send(edge, event(1)) for _ in range(3)]
        await eventually(lambda: bool(notes.ids) and not held(edge))
        assert [reply.status for reply in replies] == [200, 200, 200]
        assert notes.ids == ["evt_1"]
        (heard,) = notes.heard
        assert heard.body == event(1)
        assert heard.fields["tepi-site"] == "shop"
        told = await metrics(edge)
        assert 'tepi_edge_webhooks_total{provider="stripe",result="accepted"} 1.0' in told
        assert 'tepi_edge_webhooks_total{provider="stripe",result="repeated"} 2.0' in told
        assert replies[0].fields["cache-control"] == "no-store"


async def test_events_are_handed_on_in_the_order_in_which_they_were_taken(tmp_path: Path) -> None:
    notes = Notes()
    async with hooked(tmp_path, notes) as (edge, _):
        for number in range(20):
            assert (await send(edge, event(number))).status == 200
        await eventually(lambda: len(notes.ids) == 20)
    assert notes.ids == [f"evt_{number}" for number in range(20)]


ZIPPED = gzip.compress(event(1), mtime=0)


@pytest.mark.parametrize(
    ("status", "reason", "provider", "signed", "body"),  # signed as late as it is sent: signatures age
    [
        (404, "unknown-provider", "nobody", dict, event(1)),
        (404, "unknown-provider", "../etc", dict, event(1)),
        (403, "no-secret", "xendit", lambda: {"X-Callback-Token": "x"}, event(1)),
        (400, "webhook-malformed", "stripe", lambda: {"Stripe-Signature": "t=soon"}, event(1)),
        (401, "webhook-signature", "stripe", lambda: {"Stripe-Signature": stripe_field(event(2))}, event(1)),
        (
            401,
            "webhook-signature",
            "stripe",
            lambda: {"Stripe-Signature": stripe_field(event(1), secret="x")},
            event(1),
        ),
        (
            400,
            "webhook-time",
            "stripe",
            lambda: {"Stripe-Signature": stripe_field(event(1), 1_000_000)},
            event(1),
        ),
        (400, "webhook-malformed", "stripe", lambda: {"Stripe-Signature": stripe_field(b"[]")}, b"[]"),
        (413, "webhook-size", "stripe", lambda: {"Stripe-Signature": stripe_field(b"x" * 5000)}, b"x" * 5000),
        (
            415,
            "webhook-coding",
            "stripe",
            lambda: {"Content-Encoding": "gzip"},
            gzip.compress(event(1), mtime=0),
        ),
    ],
)
async def test_what_is_not_a_providers_is_refused_counted_and_never_kept(
    tmp_path: Path, status: int, reason: str, provider: str, signed: Callable[[], dict[str, str]],
    body: bytes, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    notes = Notes()
    with caplog.at_level(logging.DEBUG):
        async with hooked(tmp_path, notes, max_body=4096) as (edge, _):
            reply = await send(edge, body, provider, **(signed() or {"X-Nothing": "1"}))
            assert reply.status == status
            assert f"detail={reason}" in reply.fields["cache-status"].replace('"', "")
            assert f'result="{reason}"}} 1.0' in await metrics(edge)
            assert held(edge) == 0
            assert edge.running.hooks is not None
            assert edge.running.hooks.gateway.spool.commits == 0
    assert notes.heard == []
    assert STRIPE not in caplog.text


async def test_a_body_without_a_length_is_bounded_too(tmp_path: Path) -> None:
    async with hooked(tmp_path, Notes(), max_body=4096) as (edge, _), edge.visit() as visit:
        visit.say("POST", "/commerce/hooks/stripe", Transfer_Encoding="chunked")
        visit.writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n1\r\nx\r\n0\r\n\r\n")
        assert (await visit.hear()).status == 413


async def test_other_methods_are_refused_and_metas_question_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEPI_META_APP_SECRET", "s")
    monkeypatch.setenv("TEPI_META_VERIFY_TOKEN", "mine")
    async with hooked(tmp_path, Notes()) as (edge, _):
        question = "/commerce/hooks/meta?hub.mode=subscribe&hub.verify_token={}&hub.challenge=42"
        for _ in range(2):  # not from a memo either
            assert (await edge.get(question.format("mine"))).body == b"42"
            assert (await edge.get(question.format("other"))).status == 405
        assert (await edge.get("/commerce/hooks/stripe")).fields["allow"] == "POST"
        assert (await edge.get("/commerce/other/hooks/stripe")).body == b"the shop"


async def test_taken_though_the_origin_is_away_and_handed_on_after_a_restart(tmp_path: Path) -> None:
    port = await free_port()
    url = f"http://127.0.0.1:{port}"
    async with node(url, **document(tmp_path, url)) as edge:
        assert [(await send(edge, event(number))).status for number in range(5)] == [200] * 5
        assert held(edge) == 5
    notes = Notes()
    async with origin(notes.script, port=port), node(url, **document(tmp_path, url)) as edge:
        await eventually(lambda: len(notes.ids) == 5)
        assert (await send(edge, event(3))).status == 200
    assert notes.ids == [f"evt_{number}" for number in range(5)]
    async with origin(notes.script, port=port), node(url, **document(tmp_path, url)) as edge:
        assert held(edge) == 0
    assert len(notes.ids) == 5


async def test_an_origin_that_fails_is_tried_again_and_order_kept(tmp_path: Path) -> None:
    fails = [503, 0, 500]
    notes = Notes(status=lambda id: fails.pop() if fails else 200)
    async with hooked(tmp_path, notes) as (edge, _):
        for number in range(3):
            await send(edge, event(number))
        await eventually(lambda: notes.ids[-1:] == ["evt_2"], 15)
    assert notes.ids == ["evt_0", "evt_0", "evt_1", "evt_2"], "twice, where the origin's answer was lost"
    assert notes.answered[:3] == [500, 0, 503]


async def test_what_the_origin_will_never_take_becomes_a_dead_letter_to_be_seen_and_sent_again(
    tmp_path: Path,
) -> None:
    refused = {"evt_1", "evt_2"}
    notes = Notes(status=lambda id: 422 if id in refused else 200)
    async with hooked(tmp_path, notes) as (edge, _):
        for number in range(4):
            await send(edge, event(number))
        await eventually(lambda: notes.ids == ["evt_0", "evt_3"] and not held(edge))
        listed = await ask(edge, "list")
        assert [each["id"] for each in listed["letters"]] == ["evt_1", "evt_2"]
        assert "body" not in listed["letters"][0]
        first, second = (each["letter"] for each in listed["letters"])
        (shown,) = (await ask(edge, "inspect", first))["letters"]
        assert shown["body"] == json.loads(event(1))
        assert shown["error"] == "the origin answered 422: so be it"
        refused.clear()
        assert (await ask(edge, "replay", first))["replayed"] == [first]
        assert (await ask(edge, "discard", second))["discarded"] == [second]
        await eventually(lambda: notes.ids[-1] == "evt_1")
        assert (await ask(edge, "list"))["letters"] == []
        assert (await ask(edge, "discard", first))["status"] == 422
        assert (await ask(edge, "burn", first))["status"] == 422
        assert (await ask(edge, "discard"))["status"] == 422


async def test_dead_letters_outlive_a_restart(tmp_path: Path) -> None:
    async with hooked(tmp_path, Notes(status=lambda id: 404)) as (edge, _):
        await send(edge, event(1))
        await eventually(lambda: not held(edge))
    async with hooked(tmp_path, Notes()) as (edge, _):
        assert [each["id"] for each in (await ask(edge, "list"))["letters"]] == ["evt_1"]


async def test_an_event_over_which_the_origin_fails_time_and_again_does_not_hold_up_the_rest(
    tmp_path: Path,
) -> None:
    notes = Notes(status=lambda id: 500 if id == "evt_0" else 200)
    async with hooked(tmp_path, notes, attempts=2) as (edge, _):
        for number in range(2):
            await send(edge, event(number))
        await eventually(lambda: notes.ids == ["evt_1"], 15)
        assert [each["attempts"] for each in (await ask(edge, "list"))["letters"]] == [2]


async def test_one_providers_trouble_does_not_hold_up_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEPI_XENDIT_CALLBACK_TOKEN", "tok")
    notes = Notes(status=lambda id: 503 if id.startswith("evt") else 200)
    async with hooked(tmp_path, notes) as (edge, _):
        await send(edge, event(1))
        await send(edge, event(2), "xendit", X_Callback_Token="tok")
        await eventually(lambda: len(notes.ids) == 1)
        told = await ask(edge, "list")
        assert [lane["error"] for lane in told["lanes"]] == ["the origin answered 503: so be it"]


async def test_hints_are_marked_under_the_signature_and_each_later_one_is_asked_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEPI_XENDIT_CALLBACK_TOKEN", "tok")
    notes = Notes()
    async with hooked(tmp_path, notes) as (edge, _):
        for _ in range(2):
            before = len(notes.ids)
            await send(edge, event(1), "xendit", X_Callback_Token="tok")
            await eventually(lambda before=before: len(notes.ids) > before and not held(edge))  # type: ignore[misc]
    assert len(set(notes.ids)) == 2
    assert all(id.startswith("hint_sha256_") for id in notes.ids)


async def test_the_same_event_at_the_same_time_is_written_once(tmp_path: Path) -> None:
    notes = Notes()
    async with hooked(tmp_path, notes) as (edge, _):
        replies = await asyncio.gather(*(send(edge, event(1)) for _ in range(12)))
        assert {reply.status for reply in replies} == {200}
        await eventually(lambda: not held(edge))
    assert notes.ids == ["evt_1"]


async def test_a_full_spool_says_so_and_when_to_come_again(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{await free_port()}"
    async with node(url, **document(tmp_path, url, limit=2000)) as edge:
        statuses = [(await send(edge, event(number))) for number in range(20)]
        assert statuses[0].status == 200
        assert statuses[-1].status == 503
        assert int(statuses[-1].fields["retry-after"]) > 0
        taken = sum(reply.status == 200 for reply in statuses)
        assert held(edge) == taken


async def test_what_a_dead_worker_left_is_delivered_by_another_and_its_dead_letters_kept(
    tmp_path: Path,
) -> None:
    url = f"http://127.0.0.1:{await free_port()}"
    async with node(url, **document(tmp_path, url)) as edge:
        for number in range(3):
            await send(edge, event(number))
    (tmp_path / "spool" / "0").rename(tmp_path / "spool" / "7")
    notes = Notes(status=lambda id: 404 if id == "evt_1" else 200)
    async with hooked(tmp_path, notes) as (edge, _):
        assert edge.running.hooks is not None
        await edge.running.hooks.adopt_orphans()
        await eventually(lambda: notes.ids == ["evt_0", "evt_2"])
        await eventually(lambda: not (tmp_path / "spool" / "7").exists())
        assert [each["id"] for each in (await ask(edge, "list"))["letters"]] == ["evt_1"]


async def test_workers_take_directories_of_their_own_and_leave_the_livings_alone(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{await free_port()}"
    async with node(url, **document(tmp_path, url)) as one, node(url, **document(tmp_path, url)) as two:
        for number, edge in enumerate((one, two)):
            await send(edge, event(number))
            assert edge.running.hooks is not None
            await edge.running.hooks.adopt_orphans()
        assert (held(one), held(two)) == (1, 1)
        assert {path.name for path in (tmp_path / "spool").iterdir()} == {"0", "1"}


async def test_without_the_table_webhooks_go_to_the_origin_as_ever(tmp_path: Path) -> None:
    notes = Notes()
    async with origin(lambda heard, writer: notes.script(heard, writer)) as shop:
        site = {"commerce": {"prefix": "/commerce", "url": shop.url}}
        async with node(shop.url, site=site) as edge:
            assert edge.running.hooks is None
            assert (await edge.get("/commerce/tracking")).body == b"the shop"


async def test_a_changed_secret_holds_from_the_next_reload_on(tmp_path: Path) -> None:
    async with hooked(tmp_path, Notes()) as (edge, shop):
        (tmp_path / "stripe").write_text("another")
        assert (await send(edge, event(1))).status == 200
        changed = nodes.config(shop.url, **document(tmp_path, shop.url))
        (tmp_path / "stripe").write_text("another")
        await edge.running.take(changed)
        assert (await send(edge, event(2))).status == 401
        assert (
            await send(edge, event(3), Stripe_Signature=stripe_field(event(3), secret="another"))
        ).status == 200


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"spool": ""}, "webhooks"),
        ({"secret": "whsec_plain"}, "webhooks.secret"),
        (
            {"accounts": [{"provider": "stripe", "settings": {"webhook_secret": "whsec_plain"}}]},
            "webhook_secret",
        ),
        ({"accounts": [{"provider": "stripe", "settings": {}}]}, "webhook_secret"),
        ({"accounts": [{"provider": "stripe", "settings": {"key": "env:X"}}]}, "webhook_secret"),
        (
            {"accounts": [{"provider": "acme", "settings": {"webhook_secret": "env:X"}}] * 2},
            "one account of acme",
        ),
    ],
)
def test_a_table_that_cannot_be_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], names: str
) -> None:
    written = nodes.document("http://127.0.0.1:1", **document(tmp_path, "http://127.0.0.1:1", **changes))
    with pytest.raises(Refused, match=names) as refused:
        parse_edge(written)
    assert "whsec_plain" not in str(refused.value)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, Delivered()), (204, Delivered()), (422, Never("the origin answered 422: no")),
        (404, Never("the origin answered 404: no")),
        (401, Later("the origin answered 401: no", held_against=False, wish=7.0)),
        (503, Later("the origin answered 503: no", held_against=False, wish=7.0)),
        (500, Later("the origin answered 500: no", held_against=True, wish=7.0)),
        (302, Later("the origin answered 302: no", held_against=True, wish=7.0)),
    ],
)  # fmt: skip
def test_what_an_answer_means(status: int, result: object) -> None:
    assert judged(status, "no", "7") == result


def test_pauses_grow_to_a_minute_and_are_spread() -> None:
    assert [pause(attempt, None, 0.5) for attempt in (1, 2, 3, 4, 8, 9, 99)] == [0.5, 1, 2, 4, 60, 60, 60]
    assert pause(1, None, 0.0) == 0.25
    assert pause(1, 120.0, 0.0) == 120.0
    assert pause(1, 1e9, 0.0) == 600.0
