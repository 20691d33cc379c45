from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from geo.dns import settings as module
from geo.dns.settings import DnsSettings, split_address
from geo.dns.zone import NameServer
from geo.fleet import Fleet, Node, Place

LEAST = """
zone = "shop.test"
listen = ["192.0.2.53:53", "[2001:db8::53]:53"]
"""


def read(text: str) -> DnsSettings:
    return DnsSettings.model_validate(tomllib.loads(text))


def problems(text: str) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        read(text)
    return {".".join(map(str, one["loc"])): one["msg"] for one in caught.value.errors()}


def test_the_least_file_makes_a_whole_zone() -> None:
    zone = read(LEAST).zone_value(serial=9)
    assert zone.servers == (NameServer("ns1.shop.test", ("192.0.2.53", "2001:db8::53")),)
    assert (zone.contact, zone.serial, zone.ttl, zone.answers) == ("hostmaster.shop.test", 9, 20, 1)


def test_a_whole_file_is_read() -> None:
    settings = read(
        LEAST
        + """
        ttl = 30
        answers = 2
        hosts = ["shop.test"]
        [[ns]]
        name = "ns.shop.test"
        addresses = ["192.0.2.1"]
        [[ns]]
        name = "ns.other.test"
        [soa]
        contact = "dns.other.test"
        negative_ttl = 5
        [[nodes]]
        name = "jakarta"
        addresses = ["192.0.2.9"]
        place = { city = "Jakarta", country = "ID", latitude = -6.2, longitude = 106.8 }
        """
    )
    zone = settings.zone_value()
    assert zone.servers == (NameServer("ns.shop.test", ("192.0.2.1",)), NameServer("ns.other.test"))
    assert (zone.contact, zone.negative_ttl, zone.ttl, zone.answers) == ("dns.other.test", 5, 30, 2)
    assert settings.fleet_value() == Fleet(
        (Node("jakarta", Place("Jakarta", "ID", -6.2, 106.8), ("192.0.2.9",)),)
    )
    assert settings.listeners() == (("192.0.2.53", 53), ("2001:db8::53", 53))


@pytest.mark.parametrize(
    ("text", "field", "accepted"),
    [
        pytest.param('zone = "a b"\nlisten = ["127.0.0.1:53"]', "zone", "a domain name", id="zone"),
        pytest.param('zone = "x.test"\nlisten = []', "listen", "at least 1", id="no-listener"),
        pytest.param('zone = "x.test"\nlisten = ["0.0.0.0:53"]', "ns", "name servers", id="wildcard"),
        pytest.param(LEAST + "ttl = -1", "ttl", "greater than or equal to 0", id="ttl"),
        pytest.param(LEAST + 'ttl = "20"', "ttl", "integer", id="text-for-a-number"),
        pytest.param(LEAST + "tll = 20", "tll", "not permitted", id="unknown-key"),
        pytest.param(LEAST + '[[ns]]\nname = "ns.shop.test"', "ns", "addresses for ns.", id="no-glue"),
        pytest.param(
            LEAST + 'hosts = ["shop.test"]\n[control]\nurl = "https://127.0.0.1:1"',
            "hosts", "nothing beside", id="hosts-beside-control",
        ),
        pytest.param(LEAST + '[control]\nurl = "http://x"', "control.url", "https", id="no-tls"),
        pytest.param(
            LEAST + '[control]\nurl = "https://x"\njoin_token = "s3cret"',
            "control.join_token", "pattern", id="a-secret-in-the-file",
        ),
    ],
)  # fmt: skip
def test_a_bad_setting_is_named_with_what_is_accepted(text: str, field: str, accepted: str) -> None:
    assert accepted in problems(text)[field]


@pytest.mark.parametrize(
    "text",
    ["", ":53", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "::1:53", "[127.0.0.1]:53", "shop.test:53"],
)
def test_what_is_no_address_and_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as"):
        split_address(text)


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_and_port_is_read(address: Any, port: int) -> None:
    text = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
    assert split_address(text) == (str(address), port)


def test_every_setting_says_what_it_is_for() -> None:
    models = [
        one
        for one in vars(module).values()
        if isinstance(one, type) and issubclass(one, BaseModel) and one.model_fields
    ]
    assert DnsSettings in models
    for model in models:
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name}"
