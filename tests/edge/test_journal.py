"""What a node reads of the journal, and what it refuses."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from edge.journal import (
    KINDS,
    BadJournal,
    Event,
    Reader,
    Signer,
    Snapshot,
    parse,
    position_document,
    position_of,
    signed_frame,
)
from edge.position import Position

KEY = Ed25519PrivateKey.generate()
SIGNER = Signer(KEY)
READER = Reader(KEY.public_key())

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(st.text(), json_values, max_size=4)
positions = st.builds(Position, st.text(), st.integers(min_value=0))


def framed(payload: dict[str, Any], kind: str = "event") -> dict[str, Any]:
    return parse(signed_frame("event" if kind == "event" else "snapshot", SIGNER.sign(payload)))


@given(positions, st.sampled_from(sorted(KINDS)), bodies)
def test_an_event_is_read_as_it_was_signed(position: Position, kind: str, body: dict[str, Any]) -> None:
    frame = framed({**(position_document(position) or {}), "kind": kind, "body": body})
    assert READER.event(frame) == Event(position, kind, body)  # type: ignore[arg-type]


@given(positions, *(st.lists(bodies, max_size=3) for _ in range(4)))
def test_a_snapshot_is_read_as_it_was_signed(
    position: Position, sites: list[Any], fleet: list[Any], certificates: list[Any], trials: list[Any]
) -> None:
    payload = {
        **(position_document(position) or {}), "sites": sites, "fleet": fleet, "certificates": certificates,
    }  # fmt: skip
    read = READER.snapshot(framed({**payload, "trials": trials}, "snapshot"))
    assert read == Snapshot(position, tuple(sites), tuple(fleet), tuple(certificates), tuple(trials))
    assert READER.snapshot(framed(payload, "snapshot")).trials == ()  # of a control that knows of none


EVENT = framed({"lineage": "a", "number": 1, "kind": "purge", "body": {"value": "kopi"}})


@given(st.integers(min_value=0, max_value=len(EVENT["payload"]) - 1), st.characters(codec="utf-8"))
def test_no_character_of_a_payload_can_be_changed(at: int, other: str) -> None:
    text = EVENT["payload"]
    changed = text[:at] + other + text[at + 1 :]
    if changed != text:
        with pytest.raises(BadJournal, match="signature"):
            READER.event({**EVENT, "payload": changed})


def test_another_controls_signature_is_refused() -> None:
    other = Reader(Ed25519PrivateKey.generate().public_key())
    with pytest.raises(BadJournal, match="signature"):
        other.event(EVENT)


@given(json_values | st.dictionaries(st.sampled_from(["payload", "signature"]), json_values))
def test_any_frame_is_read_or_refused(frame: Any) -> None:
    document = frame if isinstance(frame, dict) else {"payload": frame, "signature": frame}
    for read in (READER.event, READER.snapshot):
        with pytest.raises(BadJournal):
            read(document)


@given(bodies)
def test_any_signed_payload_is_read_or_refused(payload: dict[str, Any]) -> None:
    with pytest.raises(BadJournal):
        READER.event(framed(payload))
    with pytest.raises(BadJournal):
        READER.snapshot(framed(payload))


@given(st.text())
def test_any_text_is_an_object_or_refused(text: str) -> None:
    try:
        assert isinstance(parse(text), dict)
    except BadJournal:
        with pytest.raises((ValueError, AssertionError)):
            assert isinstance(json.loads(text), dict)


def test_a_text_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(BadJournal, match="not JSON"):
        parse('{"a":' * 100_000)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"lineage": "a"},
        {"lineage": "a", "number": "1"},
        {"lineage": "a", "number": True},
        {"lineage": "a", "number": 1.0},
        {"lineage": None, "number": 1},
    ],
)
def test_half_a_position_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(BadJournal, match="expected a lineage and a number"):
        position_of(document)


def test_a_kind_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(BadJournal, match=r"'reboot'.*certificate\.put"):
        READER.event(framed({"lineage": "a", "number": 1, "kind": "reboot", "body": {}}))


def test_a_key_is_32_bytes() -> None:
    raw = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert Reader.of(raw).event(EVENT).position == Position("a", 1)
    with pytest.raises(BadJournal, match="got 31 bytes, expected 32"):
        Reader.of(raw[:31])


def test_a_signature_is_canonical_base64() -> None:
    raw = base64.b64decode(EVENT["signature"])
    with pytest.raises(BadJournal):
        READER.event({**EVENT, "signature": base64.b64encode(raw + b"x").decode()})
    with pytest.raises(BadJournal):
        READER.event({**EVENT, "signature": "Ünd\n"})
