"""Variables of pages: what they say, and that no value breaks out of its place."""

from __future__ import annotations

import re
from html import unescape
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.http.message import Client
from edge.policy.patterns import Patterns
from edge.transform.template import Variable
from edge.transform.variables import in_reference, in_text, value_of
from tests.edge.stage import make_request

ALL = Patterns(("*",))
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAID = {"Cookie": 'a=1; b="two"; a=3', "Accept-Language": "id, en-GB;q=0.5, de;q=0", "User-Agent": FIREFOX}


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("HTTP_HOST", None, "shop.test"),
        ("GEO_COUNTRY", None, "ID"),
        ("QUERY_STRING", None, "q=a+b%26&x=&q=2"),
        ("QUERY_STRING", "q", "a b&"),
        ("QUERY_STRING", "x", ""),
        ("QUERY_STRING", "none", ""),
        ("HTTP_COOKIE", "a", "1"),
        ("HTTP_COOKIE", "b", "two"),
        ("HTTP_COOKIE", "none", ""),
        ("HTTP_COOKIE", None, ""),
        ("HTTP_ACCEPT_LANGUAGE", "EN-gb", "true"),
        ("HTTP_ACCEPT_LANGUAGE", "de", "false"),
        ("HTTP_ACCEPT_LANGUAGE", None, "id, en-GB;q=0.5, de;q=0"),
        ("HTTP_USER_AGENT", "browser", "MOZILLA"),
        ("HTTP_USER_AGENT", "os", "UNIX"),
        ("HTTP_USER_AGENT", "version", "5.0"),
        ("HTTP_USER_AGENT", None, ""),
        ("HTTP_AUTHORIZATION", None, ""),
        ("REMOTE_ADDR", None, ""),
    ],
)
def test_what_a_variable_says(name: str, key: str | None, value: str) -> None:
    request = make_request("/?q=a+b%26&x=&q=2", SAID, client=Client("192.0.2.1", 0, "ID"))
    assert value_of(Variable(name, key), request, ALL) == value


def test_no_cookie_is_shown_that_the_site_does_not_name() -> None:
    request = make_request("/", SAID)
    assert value_of(Variable("HTTP_COOKIE", "a"), request, Patterns(("b",))) == ""


TEXTS = st.text(st.characters(codec="latin-1"), max_size=60)


@given(TEXTS.filter(lambda text: not set(text) & set("&=#")))
def test_no_value_breaks_out_of_text_or_reference(text: str) -> None:
    variable = Variable("QUERY_STRING", "q")
    request = make_request(f"/?q={text}")
    shown = in_text(variable, request, ALL).decode("ascii")
    assert re.fullmatch(r"(?:[^<>\"'&\x00-\x1f]|&(?:lt|gt|quot|amp|#x27|#\d+);)*", shown)
    value = re.sub("[\x00-\x1f\x7f]", "", value_of(variable, request, ALL))
    if "\x80" <= max(value, default="") <= "\x9f":  # what HTML makes of them is its own affair
        return
    assert unescape(shown) == value or not value.isprintable()
    url = in_reference((b"/a?q=", variable, b"&z=1#f"), request, ALL)
    assert urlsplit(f"http://shop.test{url}").query.count("&") == 1
    assert unquote(url.removeprefix("/a?q=").removesuffix("&z=1#f")) == value_of(variable, request, ALL)


@given(TEXTS, TEXTS)
def test_no_request_makes_a_variable_raise(cookie: str, query: str) -> None:
    request = make_request(f"/?{query}", {"Cookie": cookie, "Accept-Language": cookie, "User-Agent": query})
    for name in ("QUERY_STRING", "HTTP_COOKIE", "HTTP_ACCEPT_LANGUAGE", "HTTP_USER_AGENT"):
        for key in (None, "a", "browser", "os", "version"):
            in_text(Variable(name, key), request, ALL).decode("ascii")
            in_reference((Variable(name, key),), request, ALL).encode("ascii")
