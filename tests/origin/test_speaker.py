"""Who asks for a page: control's word, for one request, for a minute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.speaker import SIGNATURE, TOLERANCE, USER, Unsigned, signed, speaker

SECRET, NOW = "s" * 32, 1_800_000_000.0
CALL = ("POST", "/plugins/risk/decisions/1?x=1", b'{"approved": true}')


@given(st.text(min_size=1, max_size=40))
def test_a_signed_name_is_read_back(name: str) -> None:
    fields = signed(SECRET, name, NOW, *CALL)
    assert fields[USER].isascii()
    assert speaker(SECRET, fields, NOW + TOLERANCE - 1, *CALL) == name


def test_where_nobody_is_named_nobody_asks() -> None:
    assert speaker(SECRET, {}, NOW, *CALL) == ""
    assert speaker(None, {}, NOW, *CALL) == ""


@pytest.mark.parametrize(
    ("secret", "change", "call", "later"),
    [
        pytest.param(None, {}, CALL, 0, id="no-secret-here"),
        pytest.param("t" * 32, {}, CALL, 0, id="another-secret"),
        pytest.param(SECRET, {USER: "root"}, CALL, 0, id="another-name"),
        pytest.param(SECRET, {SIGNATURE: ""}, CALL, 0, id="no-signature"),
        pytest.param(SECRET, {SIGNATURE: "t=x,v1=1"}, CALL, 0, id="no-time"),
        pytest.param(SECRET, {}, CALL, TOLERANCE + 2, id="too-old"),
        pytest.param(SECRET, {}, CALL, -TOLERANCE - 2, id="from-the-future"),
        pytest.param(SECRET, {}, ("GET", *CALL[1:]), 0, id="another-method"),
        pytest.param(SECRET, {}, (CALL[0], "/plugins/risk/rules", CALL[2]), 0, id="another-path"),
        pytest.param(SECRET, {}, (*CALL[:2], b"{}"), 0, id="another-body"),
    ],
)
def test_anything_else_is_refused(
    secret: str | None, change: dict[str, str], call: tuple[str, str, bytes], later: float
) -> None:
    fields = {**signed(SECRET, "sari", NOW, *CALL), **change}
    with pytest.raises(Unsigned):
        speaker(secret, fields, NOW + later, *call)
