"""Sites by the API: kept as they were sent, validated by the nodes' own parser, journalled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509

from edge.document.packs import document
from tests.control.planes import Control, controlling, joined
from tests.edge.scripted import eventually, running

SHOP = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:9000"}]}


@pytest.fixture
async def control(tmp_path: Path, database_setting: str) -> AsyncIterator[Control]:
    async with controlling(tmp_path / "control", database=database_setting) as made:
        yield made


async def test_a_sites_life(control: Control) -> None:
    assert await control.ask("GET", "/sites") == (200, {"sites": []})
    assert await control.ask("POST", "/sites", SHOP) == (201, SHOP)
    assert await control.ask("GET", "/sites/shop") == (200, SHOP)
    changed = {**SHOP, "hosts": ["shop.test", "www.shop.test"]}
    assert await control.ask("PUT", "/sites/shop", changed) == (200, changed)
    assert await control.ask("GET", "/sites") == (200, {"sites": [changed]})
    assert await control.ask("DELETE", "/sites/shop") == (204, None)
    for method, body in (("GET", None), ("PUT", SHOP), ("DELETE", None)):
        status, problem = await control.ask(method, "/sites/shop", body)
        assert (status, problem["detail"]) == (404, "there is no site called shop")


async def test_every_change_reaches_the_nodes_in_order(control: Control) -> None:
    node = await joined(control, "jakarta")
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
        await control.ask("POST", "/sites", SHOP)
        await control.ask("PUT", "/sites/shop", {**SHOP, "hosts": ["toko.test"]})
        await control.ask("DELETE", "/sites/shop")
        await eventually(lambda: [event.kind for event in node.told.events][-1:] == ["site.delete"])
    told = [(event.kind, event.body.get("hosts")) for event in node.told.events]
    assert told == [
        ("site.put", ["shop.test"]),
        ("certificate.put", ["shop.test"]),
        ("site.put", ["toko.test"]),
        ("certificate.put", ["toko.test"]),
        ("site.delete", None),
    ]


async def test_a_platform_means_the_same_on_every_node(control: Control) -> None:
    node = await joined(control, "jakarta")
    kept = {**SHOP, "platform": document("shopware")}
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
        assert await control.ask("POST", "/sites", {**SHOP, "platform": "shopware"}) == (201, kept)
        assert await control.ask("PUT", "/sites/shop", {**SHOP, "platform": "shopware"}) == (200, kept)
        await eventually(lambda: len(node.told.events) >= 3)
    assert [event.body for event in node.told.events if event.kind == "site.put"] == [kept, kept]
    status, problem = await control.ask(
        "POST", "/sites", {**SHOP, "name": "x", "platform": "file:/etc/passwd"}
    )
    assert (status, problem["errors"][0]["field"]) == (422, "platform")


async def test_what_is_refused_changes_nothing(control: Control) -> None:
    await control.ask("POST", "/sites", SHOP)
    head = await control.is_up.journal.head()
    assert (await control.ask("POST", "/sites", SHOP))[0] == 409
    assert (await control.ask("POST", "/sites", {**SHOP, "name": "other", "origins": []}))[0] == 422
    assert (await control.ask("PUT", "/sites/shop", {**SHOP, "name": "renamed"}))[0] == 422
    assert (await control.ask("PUT", "/sites/shop", {**SHOP, "surprise": 1}))[0] == 422
    assert await control.is_up.journal.head() == head
    assert await control.ask("GET", "/sites/shop") == (200, SHOP)


async def test_a_host_belongs_to_one_site(control: Control) -> None:
    await control.ask("POST", "/sites", SHOP)
    other = {**SHOP, "name": "other", "hosts": ["other.test", "SHOP.test"]}
    status, problem = await control.ask("POST", "/sites", other)
    assert status == 422
    (error,) = problem["errors"]
    assert error["field"] == "hosts.1"
    assert "shop has it" in error["expected"]
    await control.ask("POST", "/sites", {**other, "hosts": ["other.test"]})
    assert (await control.ask("PUT", "/sites/other", other))[0] == 422
    assert (await control.ask("PUT", "/sites/shop", SHOP))[0] == 200


async def test_a_site_gets_a_certificate_for_its_hosts_and_keeps_it_while_they_stay(
    control: Control,
) -> None:
    sites = control.is_up.sites
    await control.ask("POST", "/sites", {**SHOP, "hosts": ["shop.test", "*.shop.test"]})
    first = await sites.certificate("shop")
    assert first is not None
    certificate = x509.load_pem_x509_certificate(first["certificate"].encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["shop.test", "*.shop.test"]
    changed = {**SHOP, "hosts": ["shop.test", "*.shop.test"], "cache": {"stale_if_error": 60}}
    await control.ask("PUT", "/sites/shop", changed)
    assert await sites.certificate("shop") == first
    await control.ask("PUT", "/sites/shop", {**changed, "hosts": ["shop.test"]})
    assert await sites.certificate("shop") != first
    await control.ask("DELETE", "/sites/shop")
    assert await sites.certificate("shop") is None


async def test_a_site_for_every_host_has_no_certificate(control: Control) -> None:
    assert (await control.ask("POST", "/sites", {**SHOP, "hosts": ["*"]}))[0] == 201
    assert await control.is_up.sites.certificate("shop") is None


@pytest.mark.parametrize(
    ("tables", "field", "reason"),
    [
        (
            {"redirects": [{"path": "/a", "to": "/b"}, {"path": "/b", "to": "/a"}]},
            "redirects",
            "http://shop.test/a → http://shop.test/b → http://shop.test/a",
        ),
        ({"redirects": [{"path": "/go/*", "to": "https://$1"}]}, "redirects.0.to", "written out"),
        ({"answer_fields": [{"set": {"Age": "1"}}]}, "answer_fields.0.set", "the edge tells there itself"),
        ({"error_pages": [{"status": ["5xx"]}]}, "error_pages.0.audience", "path, html or json"),
        ({"maintenance": {"enabled": True, "cookie": "staff"}}, "maintenance.cookie_sha256", "together"),
    ],
)
async def test_a_bad_rule_is_refused_with_path_and_reason(
    control: Control, tables: dict[str, object], field: str, reason: str
) -> None:
    await control.ask("POST", "/sites", SHOP)
    status, problem = await control.ask("PUT", "/sites/shop", {**SHOP, **tables})
    assert status == 422
    (error,) = problem["errors"]
    assert (error["field"], reason in error["expected"]) == (field, True), error
    assert await control.ask("GET", "/sites/shop") == (200, SHOP)
