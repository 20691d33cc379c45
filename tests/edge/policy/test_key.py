"""Keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.policy.key import host_name, key_of, keys_of, located, normal_escapes, same_origin_key, url_of
from tests.edge.stage import make_request


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/a", "/a", True),
        ("/%7euser", "/~user", True),
        ("/a%2fb", "/a%2Fb", True),
        ("/a%2Fb", "/a/b", False),
        ("/a?x=%41", "/a?x=A", True),
        ("/a?", "/a", False),
        ("/a?b=1&c=2", "/a?c=2&b=1", False),
        ("/A", "/a", False),
        ("/%zz", "/%ZZ", False),
    ],
)
def test_spellings_of_one_uri_share_a_key_and_others_do_not(one: str, other: str, same: bool) -> None:
    assert (key_of(make_request(one)) == key_of(make_request(other))) is same


def test_scheme_and_host_are_part_of_it_and_the_method_is_not() -> None:
    keys = {
        key_of(make_request("/", scheme=scheme, host=host, method=method))
        for scheme in ("http", "https")
        for host in ("a.test", "b.test", "a.test:81")
        for method in ("GET", "HEAD")
    }
    assert len(keys) == 6


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("http://A.test", "a.test/"),
        ("HTTPS://a.test:443/x", "a.test/x"),
        ("http://a.test:443/x", "a.test:443/x"),
        ("http://u:p@a.test/x#f", "a.test/x"),
        ("http://a.test?q", "a.test/?q"),
        ("http://a.test/%7e", "a.test/~"),
        ("a.test/x", None),
        ("//a.test/x", None),
        ("ftp://a.test/", None),
        ("http:///x", None),
        ("", None),
    ],
)
def test_urls_are_spelt_as_keys_are(url: str, place: str | None) -> None:
    assert located(url) == place


@pytest.mark.parametrize(
    ("host", "name"),
    [("a.test", "a.test"), ("a.test:80", "a.test"), ("[::1]", "[::1]"), ("[::1]:80", "[::1]")],
)
def test_a_host_has_a_name_without_its_port(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("/b", "http://shop.test/b"),
        ("b?c", "http://shop.test/p/b?c"),
        ("", "http://shop.test/p/1?q"),
        ("http://shop.test/b", "http://shop.test/b"),
        ("http://SHOP.test:80/b", "http://shop.test/b"),
        ("https://shop.test/b", None),
        ("http://shop.test:81/b", None),
        ("//other.test/b", None),
        ("http://shop.test.evil/b", None),
        ("mailto:a", None),
        ("http://[", None),
    ],
)
def test_references_count_within_the_same_origin_only(reference: str, url: str | None) -> None:
    key = same_origin_key(make_request("/p/1?q"), reference)
    assert (None if key is None else url_of(key)) == url


PATHS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#")).map(
    lambda text: f"/{text}"
)


@given(PATHS, st.none() | PATHS, st.sampled_from(["http", "https"]))
def test_the_url_of_a_request_purges_its_key(path: str, query: str | None, scheme: str) -> None:
    request = make_request(path if query is None else f"{path}?{query}", scheme=scheme)
    assert key_of(request) in keys_of(request.url)
    assert located(url_of(key_of(request))) == located(request.url)


@given(st.text())
def test_normal_spelling_is_final(text: str) -> None:
    once = normal_escapes(text)
    assert len(once) <= len(text)
    assert located(f"http://a.test/{once}") is not None


@given(st.text())
def test_nothing_makes_the_parsers_raise(text: str) -> None:
    located(text)
    same_origin_key(make_request(), text)
