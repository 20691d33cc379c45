"""The origin's configuration file: what is taken, and what is refused with field and reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from control.cli.origin import load_settings
from edge.document.problems import Refused
from origin.settings import OriginSettings, split_address


def test_an_origin_needs_no_settings() -> None:
    settings = OriginSettings.model_validate({})
    assert (settings.listen, settings.mutual_listen, settings.prefix) == ("127.0.0.1:8400", "", "/commerce")
    assert settings.directory == Path(".tepi/origin")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"lsten": "x"}, 'lsten: got "x", expected no such key; did you mean listen?'),
        ({"listen": 8400}, "listen: got 8400, expected text"),
        ({"listen": "8400"}, 'listen: got "8400", expected HOST:PORT, for example 127.0.0.1:8400'),
        ({"listen": "h:99999"}, 'listen: got "h:99999", expected HOST:PORT, for example 127.0.0.1:8400'),
        ({"prefix": "commerce"}, 'prefix: got "commerce", expected text that matches'),
        ({"prefix": "/"}, 'prefix: got "/", expected text that matches'),
        (
            {"control": {"url": "http://c"}},
            'control.url: got "http://c", expected text that matches ^https://',
        ),
        ({"control": {}}, "control.url: got nothing, expected a value"),
        (
            {"purges": {"url": "http://c", "token": "s3cret"}},
            "purges.token: got a value that is not shown, expected text that matches ^(file|env):.+",
        ),
        ({"webhook_secret": "whsec_x"}, "webhook_secret: got a value that is not shown, expected"),
        ({"plugins": {"storefront": 1}}, "plugins.storefront: got 1, expected a table"),
        ({"mutual_listen": "127.0.0.1:1"}, "mutual_listen needs [control]"),
    ],
)
def test_what_cannot_be_is_refused_with_field_and_value(
    tmp_path: Path, table: dict[str, Any], problem: str
) -> None:
    file = tmp_path / "origin.toml"
    file.write_text("\n".join(toml(table)))
    with pytest.raises(Refused) as refused:
        load_settings(file)
    assert problem in str(refused.value)
    assert "s3cret" not in str(refused.value)


def toml(table: dict[str, Any]) -> list[str]:
    plain = [f"{key} = {value!r}" for key, value in table.items() if not isinstance(value, dict)]
    for key, value in table.items():
        if isinstance(value, dict):
            plain += [f"[{key}]", *toml(value)]
    return plain


@given(st.text(max_size=30))
def test_an_address_is_a_host_and_a_port_or_refused(text: str) -> None:
    try:
        host, port = split_address(text)
    except ValueError:
        return
    assert host
    assert 0 <= port <= 65535


@pytest.mark.parametrize(
    ("text", "parts"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:8400", ("::1", 8400)), ("localhost:0", ("localhost", 0))],
)
def test_an_address_is_split(text: str, parts: tuple[str, int]) -> None:
    assert split_address(text) == parts


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValidationError):
        OriginSettings.model_validate({}).listen = "127.0.0.1:1"  # type: ignore[misc]
