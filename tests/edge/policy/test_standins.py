"""Stand-ins come back as they went out, for their own visitor only, and never from another site's page."""

from __future__ import annotations

import json
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.cookies import cookies
from edge.http.message import Fields, Request
from edge.policy.standins import (
    LAST_ORDINAL,
    MOST_SECRETS,
    NAME,
    SECRET,
    Provenance,
    Secret,
    cookie_of,
    is_stand_in,
    make,
    page_before,
    provenance,
    rule_id,
    secret_of,
    secrets_of,
    stand_ins,
    target_of,
    without_secrets,
)

SECRETS = st.binary(min_size=SECRET + NAME, max_size=SECRET + NAME).map(secret_of)
MASKS = st.binary(min_size=SECRET, max_size=SECRET)
ONE = secret_of(bytes(range(SECRET + NAME)))


@given(SECRETS, st.text(min_size=1), st.integers(0, LAST_ORDINAL), MASKS)
def test_what_went_out_comes_back(secret: Secret, rule: str, ordinal: int, mask: bytes) -> None:
    written = make(secret, rule, ordinal, mask)
    (back,) = stand_ins(b"x=" + written + b"&y=" + written)
    assert (back.written, back.secret, back.rule) == (written, secret.name, rule_id(rule))
    assert (back.ordinal, back.claimed) == (ordinal, secret.value)


@given(SECRETS, MASKS)
def test_no_form_and_no_script_spells_it_otherwise(secret: Secret, mask: bytes) -> None:
    written = make(secret, "form", 0, mask).decode()
    assert quote(written, safe="") == written
    assert written in urlencode({"t": written})
    assert json.dumps(written)[1:-1] == written


@given(SECRETS, MASKS, MASKS)
def test_two_renderings_have_little_in_common_and_never_the_secret(
    secret: Secret, one: bytes, other: bytes
) -> None:
    written = make(secret, "form", 0, one)
    assert (written == make(secret, "form", 0, other)) == (one == other)
    if any(one):
        assert secret.value.hex().encode() not in written or secret.value == one


def test_more_tokens_than_can_be_counted_are_one() -> None:
    assert stand_ins(make(ONE, "form", 1000, bytes(SECRET)))[0].ordinal == LAST_ORDINAL


@given(st.binary(max_size=300))
def test_anything_may_come(data: bytes) -> None:
    stand_ins(b"tepi" + data)


@pytest.mark.parametrize("secure", [False, True])
def test_the_cookie_comes_back_as_the_secret(secure: bool) -> None:
    name, line = cookie_of(ONE, secure=secure)
    assert name == "Set-Cookie"
    assert line.endswith("; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else ""))
    pair = cookies(Fields([("Cookie", line.partition(";")[0])]))
    assert secrets_of(pair, secure=secure) == {ONE.name: ONE}
    assert secrets_of(pair, secure=not secure) == {}


def test_nonsense_in_cookies_is_nobodys_secret() -> None:
    pairs = [("tepi-form-zz", "0" * 32), ("tepi-form-00000000", "short"), ("x", "0" * 32)]
    assert secrets_of(pairs, secure=False) == {}
    many = [(f"tepi-form-{number:08x}", "0" * 32) for number in range(100)]
    assert len(secrets_of(many, secure=False)) == MOST_SECRETS


HERE, ELSEWHERE, UNKNOWN = Provenance.HERE, Provenance.ELSEWHERE, Provenance.UNKNOWN


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({}, UNKNOWN),
        ({"Sec-Fetch-Site": "same-origin"}, HERE),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, HERE),
        ({"Sec-Fetch-Site": "same-site"}, ELSEWHERE),
        ({"Sec-Fetch-Site": "cross-site", "Referer": "http://shop.test/"}, ELSEWHERE),
        ({"Sec-Fetch-Site": "none"}, ELSEWHERE),
        ({"Sec-Fetch-Site": ""}, ELSEWHERE),
        ({"Origin": "http://shop.test"}, HERE),
        ({"Origin": "https://shop.test"}, HERE),
        ({"Origin": "http://shop.test:80"}, HERE),
        ({"Origin": "http://SHOP.test"}, HERE),
        ({"Origin": "http://shop.test:8080"}, ELSEWHERE),
        ({"Origin": "http://evil.test"}, ELSEWHERE),
        ({"Origin": "http://shop.test.evil.test", "Referer": "http://shop.test/"}, ELSEWHERE),
        ({"Origin": "http://evil.test@shop.test"}, HERE),
        ({"Origin": "http://shop.test@evil.test"}, ELSEWHERE),
        ({"Origin": "null", "Referer": "http://shop.test/"}, ELSEWHERE),
        ({"Referer": "http://shop.test/p/1?a=b"}, HERE),
        ({"Referer": "http://evil.test/http://shop.test/"}, ELSEWHERE),
        ({"Referer": "//shop.test/"}, ELSEWHERE),
        ({"Referer": "http://[::1/"}, ELSEWHERE),
        ({"Referer": "http://shop.test:99999/"}, ELSEWHERE),
    ],
)
def test_where_a_request_was_made(fields: dict[str, str], where: Provenance) -> None:
    request = Request("POST", "http", "shop.test", "/", fields=Fields(fields.items()))
    assert provenance(request) is where


def test_a_port_is_part_of_the_host() -> None:
    fields = Fields([("Origin", "http://shop.test:8080")])
    assert provenance(Request("POST", "http", "shop.test:8080", "/", fields=fields)) is HERE
    fields = Fields([("Origin", "http://[::1]:8080")])
    assert provenance(Request("POST", "http", "[::1]:8080", "/", fields=fields)) is HERE


@pytest.mark.parametrize(
    ("referer", "page"),
    [
        (None, None),
        ("http://shop.test", ("/", None)),
        ("http://shop.test/p/1?a=b#c", ("/p/1", "a=b")),
        ("https://evil.test/p", None),
        ("http://shop.test/p\t1", ("/p1", None)),
        ("http://shop.test/p 1", None),
        ("http://shop.test/é", None),
    ],
)
def test_the_page_before(referer: str | None, page: tuple[str, str | None] | None) -> None:
    fields = Fields([] if referer is None else [("Referer", referer)])
    assert page_before(Request("POST", "http", "shop.test", "/", fields=fields)) == page


@given(st.text())
def test_any_url_has_a_target_that_can_be_sent_or_none(url: str) -> None:
    target = target_of(url)
    assert target is None or all("!" <= character <= "~" for character in target[0] + (target[1] or ""))


def test_no_origin_sees_the_edges_own_cookies() -> None:
    written = make(ONE, "scripts", 0, bytes(SECRET)).decode()
    ours = cookie_of(ONE, secure=False)[1].partition(";")[0]
    fields = Fields([("Cookie", f"a=1; {ours}; XSRF-TOKEN={written}; b=2"), ("Cookie", ours), ("X", "y")])
    assert without_secrets(fields).lines == (("Cookie", "a=1; b=2"), ("X", "y"))
    assert is_stand_in(written)
    plain = Fields([("Cookie", "a=1")])
    assert without_secrets(plain) is plain
