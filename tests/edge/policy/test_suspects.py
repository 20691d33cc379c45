"""What is token-like, told by name; what is not is let alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.policy.suspects import MOST, is_random, suspects

SECRET = "q8Zr2LmX0vT5bN7yKd3W"


@pytest.mark.parametrize(
    ("page", "names"),
    [
        (f'<input type="hidden" name="csrfmiddleware" value="{SECRET}">', ("input csrfmiddleware",)),
        (f"<input value='{SECRET}' type=hidden name='form_key'/>", ("input form_key",)),
        (f"<INPUT NAME=authenticity_token VALUE={SECRET}>", ("input authenticity_token",)),
        (f'<input id="_wpnonce" name="x" value="{SECRET}">', ("input _wpnonce",)),
        (f'<meta name="csrf-token" content="{SECRET}">', ("meta csrf-token",)),
        (f'<meta content="{SECRET}" name="csrf-token" />', ("meta csrf-token",)),
        (f'<script>var config = {{"csrfToken":"{SECRET}"}}</script>', ("script csrfToken",)),
        (f"<script>window.form_key = '{SECRET}';</script>", ("script window.form_key",)),
        (f'<div data-page="{{&quot;csrf_token&quot;:&quot;{SECRET}&quot;}}">', ("script csrf_token",)),
        (f'<script>JSON.parse("{{\\"xsrf\\":\\"{SECRET}\\"}}")</script>', ("script xsrf",)),
        (f'<body data-csrf-token="{SECRET}">', ("script data-csrf-token",)),
        (f"xhr.setRequestHeader('X-CSRF-Token', '{SECRET}')", ("script X-CSRF-Token",)),
        (f'<a href="/logout?a=1&amp;_wpnonce={SECRET}">', ("link _wpnonce",)),
        (f'<a href="?token={SECRET}">', ("link token",)),
        ('<input name="_wpnonce" value="a1b2c3d4e5">', ("input _wpnonce",)),
        (f'<input name="token" value="{SECRET}"><a href="?nonce={SECRET}">', ("input token", "link nonce")),
    ],
)  # fmt: skip
def test_what_is_called_like_a_token_and_looks_like_one_is_told(page: str, names: tuple[str, ...]) -> None:
    assert suspects(f"<html>{page}</html>".encode()) == names


@pytest.mark.parametrize(
    "page",
    [
        '<input type="hidden" name="csrfmiddlewaretoken" value="">',  # taken out
        '<input name="quantity" value="12345678901">',
        '<meta name="csrf-param" content="authenticity_token">',
        '<script>var tokenUrl = "/api/v1/token/refresh"; tokenType = "Bearer"</script>',
        '<script>{"tokenEndpoint": "https://login.shop.test/oauth2"}</script>',
        '<meta name="csrf-header" content="X-CSRF-TOKEN">',
        '<p class="design-tokens">token: "abcdefghijkl"</p>',
        '<input name="design_token" value="1234.5px">',
        f'<img src="/token.png?v=1"><p data-id="{SECRET}">',
        "<p>token</p><script>tokenize(12345678901)</script>",
    ],
)
def test_what_only_has_the_name_or_only_the_look_is_let_alone(page: str) -> None:
    assert suspects(f"<html>{page}</html>".encode()) == ()


def test_only_a_few_are_told() -> None:
    page = "".join(f'<input name="token{number}" value="{SECRET}">' for number in range(100))
    assert len(suspects(page.encode())) == MOST


def test_the_value_is_never_told() -> None:
    assert SECRET not in " ".join(suspects(f'<input name="token" value="{SECRET}">'.encode()))


def test_a_random_value_that_a_cookie_has_too_is_a_token_whatever_it_is_called() -> None:
    page = f'<input name="double" value="{SECRET}">'.encode()
    assert suspects(page) == ()
    assert suspects(page, [("sid", SECRET), ("lang", "input name")]) == ("value of cookie sid",)
    assert suspects(b"<p>a+b/c1d2e3f4</p>", [("t", "a%2Bb%2Fc1d2e3f4")]) == ("value of cookie t",)


@given(st.binary(max_size=400))
def test_no_page_makes_it_raise(page: bytes) -> None:
    suspects(b'<input name="token' + page + b"csrf" + page)


@given(st.text("ABCDEFGHJKLMNPQRSTUVWXYZ23456789abcdefghijkmnopqrstuvwxyz", min_size=24, max_size=64))
def test_long_random_values_are_seen_unless_they_repeat_themselves(value: str) -> None:
    various = len(set(value)) >= 10 and any(map(str.isdigit, value))
    assert is_random(value.encode()) or not various


def test_a_page_of_nothing_but_names_and_runs_takes_no_time_to_speak_of() -> None:
    """The work grows with the page, not with its square: these would take hours otherwise."""
    for page in (b"token" * 200_000, b"A" * 1_000_000, b"<" * 500_000 + b"token", b'token="' * 100_000):
        suspects(page)
