"""Whose host is it?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config import Site
from edge.sites import Sites, without_port


def site(name: str, *hosts: str) -> Site:
    return Site.model_validate(
        {"name": name, "hosts": list(hosts), "origins": [{"url": "http://127.0.0.1:9000"}]}
    )


SITES = Sites(
    [
        site("shop", "shop.test", "*.shop.test"),
        site("api", "api.shop.test"),
        site("deep", "*.eu.shop.test"),
        site("six", "[::1]"),
    ]
)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("shop.test", "shop"),
        ("shop.test:8080", "shop"),
        ("shop.test.", "shop"),
        ("www.shop.test", "shop"),
        ("a.b.shop.test:81", "shop"),
        ("api.shop.test", "api"),
        ("www.eu.shop.test", "deep"),
        ("eu.shop.test", "shop"),
        ("[::1]:8080", "six"),
        ("[::1]", "six"),
    ],
)
def test_the_closest_claim_wins(host: str, name: str) -> None:
    rules = SITES.rules(host)
    assert rules is not None
    assert rules.name == name


@pytest.mark.parametrize("host", ["test", "other.test", "shop.test.evil", "notshop.test", "", "[", ":80"])
def test_a_host_that_nobody_claims_has_no_site(host: str) -> None:
    assert SITES.rules(host) is None


@given(st.text())
def test_a_star_takes_every_other_host(host: str) -> None:
    sites = Sites([site("one", "one.test"), site("rest", "*")])
    found = sites.find(host)
    assert found is not None
    assert (found.site.name == "one") == (without_port(host) == "one.test")


def test_sites_come_and_go_by_name() -> None:
    sites = Sites([site("shop", "shop.test")])
    sites.put(site("shop", "new.test"))
    assert sites.rules("shop.test") is None
    assert [each.name for each in sites.all()] == ["shop"]
    sites.put(site("other", "other.test"))
    assert sites.named("other") is not None
    sites.delete("shop")
    sites.delete("never-there")
    assert [each.name for each in sites.all()] == ["other"]
    sites.replace([])
    assert sites.find("other.test") is None
