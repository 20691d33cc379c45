"""A local fleet's configuration files are what each part reads itself."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from control.settings import ControlSettings
from control.up.plan import EDGES, SITE, Plan
from control.up.ports import Ports
from edge.config import EdgeConfig, Site
from geo.dns.settings import DnsSettings
from geo.dns.zone import Zone
from geo.fleet import Fleet, Health, Node
from geo.lookup import open_database
from geo.nearest import nearest
from origin.settings import OriginSettings

PLAN = Plan(Path("/var/lib/tepi"), Ports())


def documents() -> dict[str, dict[str, object]]:
    return {name: tomllib.loads(text) for name, text in PLAN.configurations().items()}


@pytest.mark.parametrize("edge", [edge.name for edge in EDGES])
def test_an_edge_reads_its_file(edge: str) -> None:
    config = EdgeConfig.model_validate(documents()[edge])
    assert config.name == edge
    assert config.control is not None
    assert {address.port for address in config.listen} == {8080}


def test_nodes_differ_by_address_and_not_by_port() -> None:
    listens = [EdgeConfig.model_validate(documents()[edge.name]).listen[0] for edge in EDGES]
    assert len({address.host for address in listens}) == len(EDGES)
    assert len({address.port for address in listens}) == 1


def test_control_dns_and_origin_read_theirs() -> None:
    control = ControlSettings.model_validate(documents()["control"])
    dns = DnsSettings.model_validate(documents()["dns"])
    origin = OriginSettings.model_validate(documents()["origin"])
    assert dns.control is not None
    assert origin.control is not None
    assert dns.control.url == origin.control.url == f"https://{control.nodes_listen}"
    assert origin.purges is not None
    assert origin.purges.url == f"http://{control.listen}"
    zone = dns.zone_value()
    assert isinstance(zone, Zone)
    assert SITE.endswith(f".{zone.name}")


def test_no_file_holds_a_secret() -> None:
    for name, document in documents().items():
        flat = str(document)
        assert "tepi_" not in flat, name
        for table in document.values():
            if isinstance(table, dict):
                for key in ("token", "join_token"):
                    assert str(table.get(key, "file:")).startswith("file:"), (name, key)


def test_the_demo_shop_is_a_site_that_nodes_accept() -> None:
    site = Site.model_validate(PLAN.site())
    assert site.hosts == (SITE,)
    assert site.commerce is not None
    assert site.commerce.url == "https://127.0.0.1:8401"


@pytest.mark.parametrize(
    ("address", "name"), [("36.66.0.1", "jakarta"), ("91.0.0.1", "frankfurt"), ("12.0.0.1", "virginia")]
)
def test_each_visitor_has_one_of_the_nodes_near(address: str, name: str) -> None:
    fleet = Fleet(tuple(Node(edge.name, edge.place, (edge.address,), Health.HEALTHY) for edge in EDGES))
    with open_database() as database:
        assert nearest(database.find(address), fleet, b"")[0].node.name == name
