"""Configuration files: what is accepted, and how a refusal reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import EdgeConfig, Site, load_edge, parse_edge
from edge.document.notation import Address, parse_address, parse_network, parse_size
from edge.document.problems import Refused
from edge.policy.rules import SiteRules

ORIGIN = {"url": "http://127.0.0.1:9000"}
SITE: dict[str, Any] = {"name": "shop", "hosts": ["shop.test"], "origins": [ORIGIN]}

WHOLE = """
name = "jakarta"
listen = ["127.0.0.1:8080", "[::1]:8080"]
listen_tls = ["127.0.0.1:8443"]
admin = "127.0.0.1:8081"
trusted_proxies = ["10.0.0.0/8"]
[tls]
cert = "cert.pem"
key = "key.pem"
[store]
memory = "64MiB"
max_object = "1MiB"
[limits]
head = "16KiB"
requests_per_second = 5
[access]
deny = ["203.0.113.7"]
[log]
access = "combined"
[[sites]]
name = "shop"
hosts = ["Shop.Test", "*.shop.test"]
origins = [{ url = "http://127.0.0.1:9000/", weight = 2 }, { url = "https://api.test", prefix = "/api" }]
health = { path = "/healthz" }
commerce = { prefix = "/commerce/", url = "https://127.0.0.1:9443" }
cache = { stale_if_error = 60, share_set_cookie = true }
timeouts = { connect = 1 }
compression = { encodings = ["gzip"] }
"""


def refusals(document: dict[str, Any]) -> dict[str, tuple[str, str]]:
    with pytest.raises(Refused) as caught:
        parse_edge(document)
    return {problem.field: (problem.got, problem.expected) for problem in caught.value.problems}


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(WHOLE)
    config = load_edge(file)
    assert config.listen == (Address("127.0.0.1", 8080), Address("::1", 8080))
    assert (config.store.memory, config.limits.head) == (64 * 2**20, 16 * 2**10)
    site = config.sites[0]
    assert site.hosts == ("shop.test", "*.shop.test")
    assert [origin.url for origin in site.origins] == ["http://127.0.0.1:9000", "https://api.test"]
    assert site.commerce is not None
    assert site.commerce.prefix == "/commerce"


def test_a_site_becomes_rules() -> None:
    site = Site.model_validate(
        {**SITE, "commerce": {"url": "https://127.0.0.1:1"}, "cache": {"stale_while_revalidate": 7}}
    )
    rules = site.rules()
    assert isinstance(rules, SiteRules)
    assert (rules.name, rules.commerce_prefix, rules.stale_while_revalidate) == ("shop", "/commerce", 7)


@pytest.mark.parametrize(
    ("document", "field", "expected"),
    [
        ({"listn": 1}, "listn", "did you mean listen?"),
        ({"limits": {"zzz": 1}}, "limits.zzz", "one of head, body, connections"),
        ({"limits": {"idle": "75"}}, "limits.idle", "a number"),
        ({"limits": {"idle": True}}, "limits.idle", "a number"),
        ({"limits": {"connections": 1.5}}, "limits.connections", "a whole number"),
        ({"limits": {"head": "3 furlongs"}}, "limits.head", '"256MiB"'),
        ({"limits": {"head": 5}}, "limits.head", "1024 or more"),
        ({"listen": ["8080"]}, "listen.0", "HOST:PORT"),
        ({"listen": "127.0.0.1:8080"}, "listen", "a list"),
        ({"listen": []}, "listen_tls", "listen is empty"),
        ({"listen_tls": ["127.0.0.1:8443"]}, "listen_tls", "[tls]"),
        ({"access": {"allow": ["10.0.0.1/8"]}}, "access.allow.0", "10.0.0.0/8"),
        ({"log": {"access": "xml"}}, "log.access", "'json', 'combined' or 'off'"),
        ({"store": {"memory": "1MiB", "max_object": "2MiB"}}, "store.max_object", "1048576 bytes"),
        ({"store": {"memory": "1MiB"}}, "store.max_object", "no more than memory, which is 1048576 bytes"),
        ({"store": {"directory": "/x", "disk": "1MiB"}}, "store.disk", "the largest object finds room"),
        ({"workers": 0}, "workers", "1 or more"),
        ({"control": {"url": "http://a"}, "state": "s"}, "control.url", "https://HOST:PORT"),
        ({"control": {"url": "https://a"}}, "state", "a directory"),
        ({"control": {"url": "https://a"}, "state": "s", "sites": [SITE]}, "sites", "none"),
        ({"sites": []}, "sites", "at least one site"),
        ({"sites": [SITE, {**SITE, "hosts": ["b.test"]}]}, "sites", "shop is there twice"),
        ({"sites": [SITE, {**SITE, "name": "b"}]}, "sites", "shop.test is shop's and b's"),
        ({"sites": [{**SITE, "hosts": ["a:80"]}]}, "sites.0.hosts.0", "no port"),
        ({"sites": [{**SITE, "hosts": []}]}, "sites.0.hosts", "a list of at least 1"),
        ({"sites": [{**SITE, "name": "A b"}]}, "sites.0.name", "lower-case"),
        ({"sites": [{**SITE, "origins": [{"url": "ftp://x"}]}]}, "sites.0.origins.0.url", "http://HOST"),
        ({"sites": [{**SITE, "origins": [{"url": "http://x/p"}]}]}, "sites.0.origins.0.url", "without path"),
        ({"sites": [{**SITE, "origins": [{"url": "http://u:p@x"}]}]}, "sites.0.origins.0.url", "or user"),
        ({"sites": [{**SITE, "origins": [{}]}]}, "sites.0.origins.0.url", "a value"),
        ({"sites": [{**SITE, "origins": [{**ORIGIN, "prefix": "/a"}]}]}, "sites.0.origins", 'prefix "/"'),
        ({"sites": [{**SITE, "origins": [ORIGIN, ORIGIN]}]}, "sites.0.origins", "differ"),
        ({"sites": [{**SITE, "origins": [{**ORIGIN, "backup": True}]}]}, "sites.0.origins", "no backup"),
        ({"sites": [{**SITE, "balance": "random"}]}, "sites.0.balance", "'least-connections'"),
        ({"sites": [{**SITE, "commerce": {"url": "https://x", "prefix": "/"}}]}, "sites.0.commerce.prefix",
         "other than /"),
    ],
)  # fmt: skip
def test_a_refusal_names_field_and_what_is_accepted(
    document: dict[str, Any], field: str, expected: str
) -> None:
    found = refusals({"sites": [SITE], **document} if "control" not in document else document)
    assert list(found) == [field]
    assert expected in found[field][1]


def test_every_problem_is_told_at_once() -> None:
    assert set(refusals({"listn": 1, "limits": {"idle": 0}, "sites": [{**SITE, "hosts": ["a b"]}]})) == {
        "listn",
        "limits.idle",
        "sites.0.hosts.0",
    }


def test_a_secret_written_into_the_file_is_not_repeated() -> None:
    found = refusals({"control": {"url": "https://a", "join_token": "hunter2"}, "state": "s"})
    got, expected = found["control.join_token"]
    assert "hunter2" not in got + expected
    assert "file:PATH or env:NAME" in expected


@pytest.mark.parametrize(
    ("text", "said"), [("a = ", "a TOML file"), ("\udcff", "a TOML file"), (None, "readable")]
)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(
    tmp_path: Path, text: str | None, said: str
) -> None:
    file = tmp_path / "edge.toml"
    if text is not None:
        file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(Refused) as caught:
        load_edge(file)
    assert said in str(caught.value)
    assert str(file) in str(caught.value)


def test_every_setting_is_described() -> None:
    schema = EdgeConfig.model_json_schema()
    for table in (schema, *schema["$defs"].values()):
        assert table["additionalProperties"] is False
        for name, setting in table["properties"].items():
            assert setting.get("description"), f"{table['title']}.{name}"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", Address("127.0.0.1", 80)),
        ("[::1]:0", Address("::1", 0)),
        ("shop.test:65535", Address("shop.test", 65535)),
        (":8080", Address("0.0.0.0", 8080)),
    ],
)
def test_addresses_are_read_and_written_alike(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@given(st.text() | st.integers() | st.none() | st.binary())
def test_no_text_breaks_a_parser(value: object) -> None:
    for parse in (parse_address, parse_size, parse_network):
        try:
            parse(value)
        except ValueError as refusal:
            assert str(refusal)


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from([*EdgeConfig.model_fields, "?"]),
        json | st.fixed_dictionaries({}, optional=dict.fromkeys(("url", "head", "cert", "memory"), json)),
    )
)
def test_any_document_is_read_or_refused_with_a_reason(document: dict[str, Any]) -> None:
    try:
        parse_edge(document)
    except Refused as refused:
        assert refused.problems
