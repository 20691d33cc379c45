"""`tepi config check` tells a good file from a bad one, whosever it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from control.cli.config import command
from control.up.plan import Plan
from control.up.ports import Ports

SITES = '[[sites]]\nname = "shop"\nhosts = ["*"]\norigins = [{ url = "http://127.0.0.1:9000" }]\n'


def check(tmp_path: Path, text: str, *options: str) -> Result:
    file = tmp_path / "some.toml"
    file.write_text(text)
    return CliRunner().invoke(command, ["check", str(file), *options])


@pytest.mark.parametrize("name", ["control", "origin", "dns", "jakarta"])
def test_the_files_of_a_local_fleet_are_good_and_told_apart(tmp_path: Path, name: str) -> None:
    text = Plan(tmp_path, Ports()).configurations()[name]
    result = check(tmp_path, text)
    assert (result.exit_code, result.output) == (
        0,
        f"{tmp_path / 'some.toml'}: a good configuration of tepi {name if name != 'jakarta' else 'edge'}\n",
    )


def test_every_problem_is_named_with_field_value_and_what_is_accepted(tmp_path: Path) -> None:
    result = check(tmp_path, 'listen = ["nowhere"]\nlisten_tsl = []\n[limits]\nidle = "x"\n' + SITES)
    assert result.exit_code == 2
    lines = [line.removeprefix(f"{tmp_path / 'some.toml'}: ") for line in result.output.splitlines()]
    assert 'limits.idle: got "x", expected a number' in lines
    assert "listen_tsl: got [], expected no such key; did you mean listen_tls?" in lines
    assert any(line.startswith('listen.0: got "nowhere", expected HOST:PORT') for line in lines)
    assert len(lines) == 3


def test_a_file_of_no_part_is_refused_unless_named(tmp_path: Path) -> None:
    assert "--part" in check(tmp_path, "x = 1\n").output
    assert "--part" in check(tmp_path, "").output
    assert "sites: got []" in check(tmp_path, "", "--part", "edge").output


def test_a_certificate_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    text = 'listen_tls = ["127.0.0.1:0"]\n[tls]\ncert = "/nowhere/c"\nkey = "/nowhere/k"\n' + SITES
    result = check(tmp_path, text)
    assert result.exit_code == 2
    assert "/nowhere/c can't be read" in result.output


def test_a_database_that_is_not_one_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "not.mmdb").write_text("x")
    result = check(tmp_path, f'geo_database = "{tmp_path / "not.mmdb"}"\ntrusted_proxies = []\n' + SITES)
    assert result.exit_code == 2
    assert "geo_database: got" in result.output


def test_a_file_that_is_not_toml_is_refused_in_a_line(tmp_path: Path) -> None:
    result = check(tmp_path, "a = ")
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
