"""Webhooks come in signed, in time, and effectively once."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from edge.webhooks.contract import TOLERANCE, Unverified
from edge.webhooks.standard import sign, verify
from origin.contract import NotNow, Statements, Webhook
from origin.db.database import Database
from origin.db.tables import inbox, outbox
from origin.inbox import Inbox, Unconfirmable, UnknownProvider
from origin.outbox import Outbox
from tests.origin.standing import NOON, Clock, database

SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes for the tests!!").decode()


def signed(body: bytes, id: str = "msg_1", at: int = int(NOON), secret: str = SECRET) -> dict[str, str]:
    return {
        "webhook-id": id,
        "webhook-timestamp": str(at),
        "webhook-signature": sign(secret, id, at, body),
    }


def test_the_public_vector_of_standard_webhooks_holds() -> None:
    signature = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(max_size=200), st.text("abc_-.", min_size=1, max_size=40), st.integers(0, int(TOLERANCE)))
def test_what_is_signed_in_time_is_taken_and_named(body: bytes, id: str, late: int) -> None:
    assert verify(SECRET, signed(body, id), body, NOON + late) == id


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_a_signature_is_of_these_bytes_only(body: bytes, other: bytes) -> None:
    if body != other:
        with pytest.raises(Unverified, match="none is right"):
            verify(SECRET, signed(body), other, NOON)


printable = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=600)


@given(
    st.dictionaries(
        st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]),
        printable | st.text("0123456789", max_size=5000),
    ),
    st.binary(max_size=40),
)
def test_whatever_else_comes_is_unverified_and_nothing_worse(fields: dict[str, str], body: bytes) -> None:
    with pytest.raises(Unverified):
        verify(SECRET, fields, body, NOON)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"webhook-id": ""}, "webhook-id: got 0 characters"),
        ({"webhook-id": "x" * 256}, "webhook-id: got 256 characters"),
        ({"webhook-timestamp": "soon"}, "webhook-timestamp: got 'soon'"),
        ({"webhook-timestamp": "-1"}, "webhook-timestamp: got '-1'"),
        ({"webhook-timestamp": "9" * 5000}, "webhook-timestamp: got"),
        ({"webhook-timestamp": str(int(NOON) + 1)}, "none is right"),
        ({"webhook-id": "msg_2"}, "none is right"),
        ({"webhook-signature": ""}, "none is right"),
        ({"webhook-signature": "v1a,xyz é"}, "none is right"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, str], sentence: str) -> None:
    with pytest.raises(Unverified, match=sentence):
        verify(SECRET, signed(b"{}") | change, b"{}", NOON)


@pytest.mark.parametrize("away", [-TOLERANCE - 1, TOLERANCE + 1])
def test_yesterdays_and_tomorrows_webhooks_are_refused(away: float) -> None:
    with pytest.raises(Unverified, match="more than 300 s from now"):
        verify(SECRET, signed(b"{}"), b"{}", NOON + away)


def test_one_right_signature_among_several_is_enough_while_a_secret_is_changed() -> None:
    other = "whsec_" + base64.b64encode(b"the secret of yesterday").decode()
    fields = signed(b"{}")
    fields["webhook-signature"] = sign(other, "msg_1", int(NOON), b"{}") + " " + fields["webhook-signature"]
    assert verify(SECRET, fields, b"{}", NOON) == "msg_1"
    with pytest.raises(Unverified):
        verify(SECRET, signed(b"{}", secret=other), b"{}", NOON)


def test_a_secret_that_is_none_says_what_is_expected() -> None:
    with pytest.raises(ValueError, match="expected whsec_ and base64"):
        sign("whsec_no!", "a", 1, b"")


def taking(found: Database, clock: Clock | None = None, *, fails: list[Exception] | None = None) -> Inbox:
    """An inbox whose `shop` notes each body as an event in the outbox, unless it is to fail."""
    clock = clock or Clock()
    notes = Outbox(found, clock, lambda: 0.0)

    async def note(connection: Statements, body: Mapping[str, Any]) -> None:
        await notes.emit(connection, "noted", body)
        if fails:
            raise fails.pop()

    return Inbox(found, {"shop": Webhook("shop", note)}, SECRET, clock)


async def noted(found: Database) -> list[Any]:
    async with found.read() as connection:
        return list((await connection.execute(select(outbox.c.body).order_by(outbox.c.number))).scalars())


async def test_a_webhook_is_handled_once_however_often_it_comes(tmp_path: Path) -> None:
    body = json.dumps({"n": 1}).encode()
    async with database(tmp_path) as found:
        box = taking(found)
        assert [await box.take("shop", signed(body), body) for _ in range(3)] == [True, False, False]
        assert await noted(found) == [{"n": 1}]


async def test_the_same_webhook_at_the_same_time_is_handled_once(tmp_path: Path) -> None:
    body = b'{"n":1}'
    async with database(tmp_path) as found:
        box = taking(found)
        taken = await asyncio.gather(*(box.take("shop", signed(body), body) for _ in range(8)))
        assert sorted(taken) == [False] * 7 + [True]
        assert await noted(found) == [{"n": 1}]


async def test_a_restart_does_not_forget_what_was_taken(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        assert await taking(found).take("shop", signed(b"{}"), b"{}")
    async with database(tmp_path) as found:
        assert not await taking(found).take("shop", signed(b"{}"), b"{}")


async def test_what_its_handler_could_not_finish_comes_again_whole(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        box = taking(found, fails=[RuntimeError("half way")])
        with pytest.raises(RuntimeError, match="half way"):
            await box.take("shop", signed(b"{}"), b"{}")
        assert await noted(found) == []
        assert await box.take("shop", signed(b"{}"), b"{}")
        assert await noted(found) == [{}]


async def test_a_handlers_own_clash_is_not_taken_for_a_repetition(tmp_path: Path) -> None:
    async with database(tmp_path) as found:

        async def clash(connection: Statements, body: Mapping[str, Any]) -> None:
            for _ in range(2):
                await connection.execute(inbox.insert().values(provider="x", event="y", received_at=0.0))

        box = Inbox(found, {"shop": Webhook("shop", clash)}, SECRET, Clock())
        with pytest.raises(Exception, match="UNIQUE"):
            await box.take("shop", signed(b"{}"), b"{}")
        async with found.read() as connection:
            assert (await connection.execute(text("SELECT count(*) FROM inbox"))).scalar() == 0


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b"\xff", b"[" * 100_000])
async def test_what_is_not_a_json_object_is_refused_though_signed(tmp_path: Path, body: bytes) -> None:
    async with database(tmp_path) as found:
        with pytest.raises(Unverified, match="JSON"):
            await taking(found).take("shop", signed(body), body)
        assert await noted(found) == []


async def test_a_provider_that_nobody_takes_is_unknown(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        with pytest.raises(UnknownProvider):
            await taking(found).take("other", signed(b"{}"), b"{}")


async def test_of_a_hint_the_handler_gets_what_the_provider_says(tmp_path: Path) -> None:
    asked: list[Any] = []
    answers: list[Any] = [NotNow("the provider is away"), {"status": "settled"}, None]

    async def confirm(hint: Mapping[str, Any]) -> Mapping[str, Any] | None:
        asked.append(hint)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    async with database(tmp_path) as found:
        notes = Outbox(found, Clock(), lambda: 0.0)

        async def note(connection: Statements, body: Mapping[str, Any]) -> None:
            await notes.emit(connection, "noted", body)

        box = Inbox(found, {"shop": Webhook("shop", note, confirm)}, SECRET, Clock())
        body = b'{"status":"forged"}'
        with pytest.raises(NotNow):
            await box.take("shop", signed(body, "hint_1"), body)
        assert await box.take("shop", signed(body, "hint_1"), body)
        assert not await box.take("shop", signed(body, "hint_1"), body)
        assert await box.take("shop", signed(body, "hint_2"), body), "seen, though nothing follows from it"
        assert len(asked) == 3
        assert await noted(found) == [{"status": "settled"}]


async def test_a_hint_that_nobody_can_confirm_is_not_believed(tmp_path: Path) -> None:
    async with database(tmp_path) as found:
        with pytest.raises(Unconfirmable):
            await taking(found).take("shop", signed(b"{}", "hint_1"), b"{}")
        assert await noted(found) == []
