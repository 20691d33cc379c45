"""Control's configuration file: read whole or refused whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from control.settings import ControlSettings, load_control
from edge.document.notation import Address
from edge.document.problems import Refused


def test_an_empty_file_is_a_whole_configuration(tmp_path: Path) -> None:
    path = tmp_path / "control.toml"
    path.write_text("")
    assert load_control(path) == ControlSettings()
    assert ControlSettings().listen == Address("127.0.0.1", 8300)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('listen = "8300"', 'listen: got "8300", expected HOST:PORT'),
        ("journal_keep = 1", "journal_keep: got 1, expected 10 or more"),
        ("journal_keep = 1.5", "journal_keep: got 1.5, expected a whole number"),
        ('session_hours = "24"', 'session_hours: got "24", expected a whole number'),
        ("session_hours = 0", "session_hours: got 0, expected 1 or more"),
        ('stat = "x"', "no such key; did you mean state?"),
        ('[tls]\ncert = "a.pem"', "tls.key: got nothing, expected a value"),
        ("state = ", "expected a TOML file"),
    ],
)
def test_what_is_wrong_is_named_with_what_would_be_accepted(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "control.toml"
    path.write_text(text)
    with pytest.raises(Refused) as refusal:
        load_control(path)
    assert problem in str(refusal.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"none\.toml.*readable file"):
        load_control(tmp_path / "none.toml")
