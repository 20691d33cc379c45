from __future__ import annotations

import json

import dns.edns
import dns.message
import pytest

from geo.fleet import Fleet, Health
from geo.where import BadAddress, explain_where
from tests.geo.worlds import FLEET, LOOKUP, fleet_with, responder


def test_it_says_which_node_and_why() -> None:
    document = explain_where("36.66.0.1", fleet_with(), LOOKUP).document()
    assert json.loads(json.dumps(document)) == document
    assert document["node"] == "jakarta"
    assert document["client"] == {
        "address": "36.66.0.1",
        "network": "36.64.0.0/11",
        "country": "ID",
        "city": None,
        "latitude": -4.8,
        "longitude": 109.6,
        "asn": None,
        "source": "city",
    }
    assert document["choices"][0] == {
        "node": "jakarta",
        "city": "Jakarta",
        "country": "ID",
        "addresses": ["192.0.2.1", "2001:db8::1"],
        "health": "healthy",
        "distance_km": pytest.approx(342, abs=5),
        "reasons": ["nearest"],
    }
    assert [choice["node"] for choice in document["choices"]] == ["jakarta", "frankfurt", "virginia"]


def test_a_sick_node_is_passed_over_and_it_shows() -> None:
    document = explain_where("36.66.0.1", fleet_with(jakarta=Health.UNHEALTHY), LOOKUP).document()
    assert document["node"] == "frankfurt"
    assert document["choices"][-1]["reasons"] == ["unhealthy"]


def test_beside_a_resolver_both_ways_of_asking_are_told() -> None:
    where = explain_where("36.66.0.1", fleet_with(), LOOKUP, resolver="8.8.8.8")
    assert (where.decided_by, where.document()["node"]) == ("client", "jakarta")
    assert where.document()["without_subnet"] == "virginia"


def test_the_resolver_decides_where_the_visitors_place_is_not_known() -> None:
    where = explain_where("10.0.0.1", fleet_with(), LOOKUP, resolver="85.214.1.1")
    assert (where.decided_by, where.document()["node"]) == ("resolver", "frankfurt")


def test_an_empty_fleet_has_no_node() -> None:
    assert explain_where("36.66.0.1", Fleet(), LOOKUP).document()["node"] is None


@pytest.mark.parametrize("text", ["", "shop.test", "1.2.3.4/24", "1.2.3"])
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(BadAddress, match="address: got"):
        explain_where(text, FLEET, LOOKUP)
    with pytest.raises(BadAddress, match="resolver: got"):
        explain_where("1.2.3.4", FLEET, LOOKUP, resolver=text)


@pytest.mark.parametrize("address", ["36.66.0.1", "85.214.9.9", "8.8.8.8", "10.1.2.3", "198.51.100.9"])
def test_it_says_what_the_name_server_answers(address: str) -> None:
    query = dns.message.make_query(
        "www.shop.test", "A", use_edns=0, options=[dns.edns.ECSOption(address, 24)]
    )
    reply = responder(fleet_with()).reply(query.to_wire(), "127.0.0.1")
    assert reply is not None
    where = explain_where(address, fleet_with(), LOOKUP, resolver="127.0.0.1")
    assert where.choices[0].node.name == reply.node
