"""The operator's verbs against a running control."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from control.cli import main
from edge.document.notation import Address
from edge.document.packs import bundled, document
from edge.journal import Document
from edge.purge import Weight
from tests.control.planes import Control, controlling, healthy, joined
from tests.edge.scripted import Told, eventually, running

SHOP = """
name = "shop"
hosts = ["shop.test", "www.shop.test"]
origins = [{ url = "http://127.0.0.1:9000" }]
"""
EXPLANATION = {
    "method": "GET",
    "url": "http://shop.test/p/[kopi]",
    "decision": "hit",
    "reason": None,
    "key": "shop.test/p",
    "steps": [{"step": "Key", "finding": "the resource", "facts": {"key": "shop.test/p", "vary": ["a"]}}],
    "variants": [
        {
            "selected": True, "status": 200, "age": 3, "lifetime": 60, "lifetime_from": "max-age", "ttl": 57,
            "size": 4096, "encodings": ["identity", "br"], "vary": {"accept-language": "id"},
            "tags": ["product-42"],
        }
    ],
    "hit_when": ["it is a hit already"],
}  # fmt: skip


class Shows(Told):
    """A node that explains and counts."""

    async def command(self, verb: str, body: Document) -> Document:
        if verb == "dry-run":
            return Weight(2, 4000, 380, 1000).as_json()
        return {**EXPLANATION, "url": body["url"]}


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    async with controlling(tmp_path / "control") as made:
        yield made


async def tepi(control: Control | None, *words: str, **environment: str | None) -> Result:
    """Runs a verb beside the running control."""
    known: dict[str, str | None] = {"TEPI_CONTROL": None, "TEPI_TOKEN": None, "COLUMNS": "160"}
    if control is not None:
        known |= {"TEPI_CONTROL": control.api, "TEPI_TOKEN": control.first_run["token"]}
    return await asyncio.to_thread(CliRunner().invoke, main, words, env={**known, **environment})


def shop(tmp_path: Path, text: str = SHOP, name: str = "shop.toml") -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


async def test_a_sites_platform_is_written_into_its_document_and_told_in_plain_words(
    control: Control, tmp_path: Path
) -> None:
    words = ("site", "add", "--host", "toko.test", "--origin", "http://127.0.0.1:9000", "--platform")
    added = await tepi(control, *words, "woocommerce")
    assert added.exit_code == 0, added.output
    assert "WooCommerce on WordPress (woocommerce, version 1)" in added.stdout
    assert "gets pages of his own: wordpress_logged_in_*" in added.stdout
    shown = json.loads((await tepi(control, "site", "show", "toko")).stdout)
    assert shown["platform"] == document("woocommerce")
    assert "woocommerce 1" in (await tepi(control, "site", "list")).stdout

    refused = await tepi(control, *words, "oscommerce")
    assert refused.exit_code == 1
    assert all(name in refused.output for name in ("platform", "oscommerce", *bundled()))


async def test_an_operators_own_pack_goes_to_control_whole(control: Control, tmp_path: Path) -> None:
    pack = shop(tmp_path, 'name = "kedai"\ntitle = "Kedai"\n[never]\npaths = ["/bayar"]\n', "kedai.toml")
    words = ("site", "add", "--host", "kedai.test", "--origin", "http://127.0.0.1:9000")
    added = await tepi(control, *words, "--platform", pack)
    assert added.exit_code == 0, added.output
    assert "Never cached: /bayar." in added.stdout
    named = shop(tmp_path, SHOP + 'platform = "file:kedai.toml"\n')
    assert "Never cached: /bayar." in (await tepi(control, "site", "add", named)).stdout
    shown = json.loads((await tepi(control, "site", "show", "shop")).stdout)
    assert shown["platform"]["never"] == {"paths": ["/bayar"]}

    both = await tepi(control, "site", "add", named, "--platform", "magento")
    assert both.exit_code == 2
    shop(tmp_path, 'name = "kedai"\ntitle = "Kedai"\nnevr = 1\n', "kedai.toml")
    for wrong in (("--host", "x.test", "--origin", "http://127.0.0.1:1", "--platform", pack), (named,)):
        refused = await tepi(control, "site", "add", *wrong)
        assert (refused.exit_code, "nevr" in refused.output) == (1, True)


async def test_the_packs_that_come_along_are_listed_told_and_printed() -> None:
    listed = await tepi(None, "site", "packs")
    assert all(name in listed.stdout for name in bundled())
    told = await tepi(None, "site", "packs", "prestashop")
    assert "Whoever has sent a form" in told.stdout
    assert "Checked against" in told.stdout
    printed = await tepi(None, "site", "packs", "prestashop", "--toml")
    assert tomllib.loads(printed.stdout) == document("prestashop")
    assert "expected one of" in (await tepi(None, "site", "packs", "oscommerce")).output


async def test_a_site_is_added_from_a_file_shown_changed_and_removed(
    control: Control, tmp_path: Path
) -> None:
    added = await tepi(control, "site", "add", shop(tmp_path))
    assert (added.exit_code, added.stdout) == (0, "shop is served at shop.test, www.shop.test\n")
    shown = json.loads((await tepi(control, "site", "show", "shop")).stdout)
    assert shown["hosts"] == ["shop.test", "www.shop.test"]
    changed = json.dumps({**shown, "hosts": ["toko.test"]})
    updated = await tepi(control, "site", "update", shop(tmp_path, changed, "shop.json"))
    assert (updated.exit_code, updated.stdout) == (0, "shop is updated\n")
    listed = await tepi(control, "site", "list")
    assert [line.split() for line in listed.stdout.splitlines()] == [
        ["name", "hosts", "origins", "platform"], ["shop", "toko.test", "http://127.0.0.1:9000"],
    ]  # fmt: skip
    assert (await tepi(control, "site", "remove", "shop")).stdout == "shop is removed\n"
    assert json.loads((await tepi(control, "site", "list", "--json")).stdout) == []


async def test_a_site_is_closed_and_opened_and_a_purge_says_so(control: Control, tmp_path: Path) -> None:
    await tepi(control, "site", "add", shop(tmp_path, SHOP + "[maintenance]\nretry_after = 60\n"))
    closed = await tepi(control, "site", "close", "shop")
    assert (closed.exit_code, closed.stdout) == (0, "shop is closed\n"), closed.output
    shown = json.loads((await tepi(control, "site", "show", "shop")).stdout)
    assert shown["maintenance"] == {"retry_after": 60, "enabled": True}
    purged = await tepi(control, "purge", "--site", "shop", "--wait")
    assert "shop is closed for maintenance: its visitors get 503, whatever was purged" in purged.stdout
    assert (await tepi(control, "site", "open", "shop")).stdout == "shop is open\n"
    assert "closed" not in (await tepi(control, "purge", "--site", "shop")).stdout
    assert (await tepi(control, "site", "close", "nobody")).exit_code == 1


async def test_a_site_is_added_by_flags(control: Control) -> None:
    added = await tepi(
        control, "site", "add", "--host", "Toko.test", "--host", "www.toko.test", "--origin", "http://o.test"
    )
    assert added.exit_code == 0, added.output
    assert json.loads((await tepi(control, "site", "show", "toko")).stdout)["origins"] == [
        {"url": "http://o.test"}
    ]


async def test_what_is_wrong_with_a_site_is_said_field_by_field(control: Control, tmp_path: Path) -> None:
    bad = shop(tmp_path, SHOP.replace("shop.test", "not a host") + "orgins = 1\n")
    result = await tepi(control, "site", "add", bad)
    assert result.exit_code == 1
    assert 'hosts.0: got "not a host", expected a host name' in result.stderr
    assert "did you mean origins?" in result.stderr
    for text, name in (("name = ", "half.toml"), ("{", "half.json"), ("[]", "list.json")):
        result = await tepi(control, "site", "add", shop(tmp_path, text, name))
        assert result.exit_code == 1
        assert name in result.stderr
    nameless = await tepi(control, "site", "update", shop(tmp_path, "hosts = []", "nameless.toml"))
    assert nameless.exit_code == 1
    assert "name: got None" in nameless.stderr
    assert (await tepi(control, "site", "add")).exit_code == 2


async def test_a_node_is_added_listed_shown_and_revoked(control: Control) -> None:
    added = await tepi(control, "node", "add", "jakarta", "--place", "Jakarta", "--address", "127.0.0.1")
    assert added.exit_code == 0, added.output
    token = added.stdout.strip()
    assert token.endswith(control.is_up.authority.fingerprint)
    assert "\n" not in token, "the token alone is on standard output"
    assert "control.join_token" in added.stderr
    listed = await tepi(control, "node", "list")
    row = listed.stdout.splitlines()[1].split()
    assert row[:2] == ["jakarta", "edge"]
    assert "not joined" in listed.stdout
    shown = json.loads((await tepi(control, "node", "show", "jakarta")).stdout)
    assert (shown["place"]["country"], shown["joined"]) == ("ID", False)
    assert (await tepi(control, "node", "revoke", "jakarta")).stdout == "jakarta is revoked\n"
    gone = await tepi(control, "node", "show", "jakarta")
    assert gone.exit_code == 1
    assert "there is no node called jakarta" in gone.stderr


async def test_a_name_can_not_reach_beside_its_place(control: Control, tmp_path: Path) -> None:
    await tepi(control, "site", "add", shop(tmp_path))
    assert (await tepi(control, "node", "revoke", "../sites/shop")).exit_code == 1
    assert (await tepi(control, "site", "show", "shop")).exit_code == 0


async def test_an_unknown_place_is_refused_before_anything_is_sent(control: Control) -> None:
    result = await tepi(control, "node", "add", "x", "--place", "Atlantis", "--address", "127.0.0.1")
    assert result.exit_code == 2
    assert "Atlantis" in result.stderr


async def test_a_purge_waits_for_healthy_nodes_and_shows_receipts(control: Control) -> None:
    node = await joined(control, "jakarta")
    async with running(node.agent()):
        await healthy(control, "jakarta")
        result = await tepi(control, "purge", "--tag", "product-42", "--site", "shop", "--soft", "--wait")
        assert result.exit_code == 0, result.output
        assert "jakarta" in result.stdout
        assert "applied" in result.stdout
        result = await tepi(control, "purge", "--tag", "product-43", "--wait", "--json")
        order = json.loads(result.stdout)
        assert order["done"]
        assert order["receipts"][0]["state"] == "applied"
    first = next(event for event in node.told.events if event.kind == "purge").body
    assert (first["kind"], first["value"], first["site"], first["soft"]) == (
        "tag",
        "product-42",
        "shop",
        True,
    )


async def test_a_purge_that_is_not_acknowledged_in_time_ends_with_3(control: Control) -> None:
    node = await joined(control, "jakarta")
    async with running(node.agent()):
        await healthy(control, "jakarta")
        stuck = asyncio.Event()

        async def wait() -> None:
            await stuck.wait()

        node.told.before = wait
        result = await tepi(control, "purge", "--url", "http://shop.test/", "--wait", "--timeout", "0.5")
        assert result.exit_code == 3
        assert "pending" in result.stdout
        stuck.set()


async def test_a_dry_run_counts_and_waits_for_nothing(control: Control) -> None:
    node = await joined(control, "jakarta")
    node.told = Shows()
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
        result = await tepi(control, "purge", "--site", "shop.test", "--dry-run", "--wait")
    assert (result.exit_code, result.stdout) == (
        0,
        "jakarta: 2 entries would go, 4.0 kB, 38% of the hot bytes\n",
    )
    assert node.told.events == []


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--url", "http://a.test/", "--tag", "x"),
        ("--url", "http://a.test/", "--site", "shop"),
        ("--tag", "x", "--timeout", "soon"),
    ],
)
async def test_a_purge_of_nothing_or_of_two_things_is_refused(words: tuple[str, ...]) -> None:
    result = await tepi(None, "purge", *words, TEPI_CONTROL="http://127.0.0.1:1", TEPI_TOKEN="x")
    assert result.exit_code == 2


async def test_explain_prints_steps_variants_and_advice(control: Control) -> None:
    node = await joined(control, "jakarta")
    node.told = Shows()
    async with running(node.agent()) as agent:
        await eventually(lambda: agent.ready)
        result = await tepi(control, "explain", "http://shop.test/p/[kopi]", "-H", "Accept-Language: id")
        assert result.exit_code == 0, result.output
        for text in (
            "GET http://shop.test/p/[kopi] at jakarta: hit", "1. Key  the resource", "key: shop.test/p",
            "60 s (max-age)", "identity br", "product-42", "→ it is a hit already",
        ):  # fmt: skip
            assert text in result.stdout
        result = await tepi(control, "explain", "http://shop.test/", "--at", "jakarta", "--json")
        assert json.loads(result.stdout)["node"] == "jakarta"
        missing = await tepi(control, "explain", "http://shop.test/", "--at", "virginia")
        assert missing.exit_code == 1
        assert "no node called virginia" in missing.stderr
    assert (await tepi(control, "explain", "http://shop.test/", "-H", "nonsense")).exit_code == 2


async def test_a_node_without_control_is_asked_at_its_admin_listener() -> None:
    asked: list[tuple[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.path, await request.json()))
        return web.json_response({"entries": 7} if request.path == "/purge" else EXPLANATION)

    app = web.Application()
    app.add_routes([web.post("/purge", answer), web.post("/explain", answer)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://{Address(*runner.addresses[0][:2])}"
    purged = await tepi(None, "purge", "--prefix", "http://shop.test/c/", "--node", url)
    explained = await tepi(None, "explain", "http://shop.test/", "--node", url)
    await runner.cleanup()
    assert (purged.exit_code, purged.stdout) == (0, "7 entries\n")
    assert (explained.exit_code, explained.stdout.splitlines()[0].endswith(": hit")) == (0, True)
    assert [path for path, _ in asked] == ["/purge", "/explain"]
    assert asked[0][1]["kind"] == "prefix"


@pytest.mark.parametrize(
    "verb", [("node", "list"), ("site", "list"), ("purge", "--tag", "x"), ("explain", "http://a/")]
)
async def test_without_control_or_token_a_verb_says_how_to_name_them(verb: tuple[str, ...]) -> None:
    result = await tepi(None, *verb)
    assert result.exit_code == 2
    assert "--control URL, or TEPI_CONTROL" in result.stderr
    result = await tepi(None, *verb, TEPI_CONTROL="http://127.0.0.1:1")
    assert result.exit_code == 2
    assert "--token TOKEN, or TEPI_TOKEN" in result.stderr
    result = await tepi(None, *verb, TEPI_CONTROL="http://127.0.0.1:1", TEPI_TOKEN="secret-token")
    assert result.exit_code == 1
    assert "can't be reached" in result.stderr
    assert "secret-token" not in result.output


async def test_a_wrong_token_is_refused_without_repeating_it(control: Control) -> None:
    result = await tepi(control, "site", "list", TEPI_TOKEN="tepi_secret")
    assert result.exit_code == 1
    assert "bearer token" in result.stderr
    assert "tepi_secret" not in result.output


async def test_an_address_that_is_no_control_is_named(control: Control) -> None:
    result = await tepi(control, "site", "list", TEPI_CONTROL=control.admin)
    assert result.exit_code == 1
    assert "404" in result.stderr


async def test_a_node_that_lost_its_state_is_announced_again(control: Control) -> None:
    words = ("node", "add", "edge-1", "--place", "Jakarta", "--address", "203.0.113.7")
    first = await tepi(control, *words)
    assert first.exit_code == 0
    known = await tepi(control, *words)
    assert known.exit_code == 1
    assert "revoke it first" in known.output
    again = await tepi(control, *words, "--again")
    assert again.exit_code == 0
    assert again.stdout != first.stdout
    assert (await tepi(control, "node", "add", "edge-2", *words[3:], "--again")).exit_code == 0


async def test_tokens_of_the_operators_own_hold_from_the_first_start_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scope in ("admin", "nodes", "purge"):
        monkeypatch.setenv(f"OWN_{scope.upper()}", f"tepi_{scope}-0123456789-0123456789-0123456789")
    own = {scope: f"env:OWN_{scope.upper()}" for scope in ("admin", "nodes", "purge")}
    async with controlling(tmp_path / "own", first_tokens=own) as made:
        assert made.first_run["token"].startswith("tepi_admin-")
        assert made.first_run["service_token"].startswith("tepi_purge-")
        nodes = {"TEPI_TOKEN": "tepi_nodes-0123456789-0123456789-0123456789"}
        words = ("node", "add", "edge-1", "--place", "Jakarta", "--address", "203.0.113.7", "--again")
        assert (await tepi(made, *words, **nodes)).exit_code == 0
        refused = await tepi(made, "purge", "--tag", "x", **nodes)
        assert refused.exit_code != 0
    monkeypatch.delenv("OWN_ADMIN")
    async with controlling(tmp_path / "own", first_tokens=own) as later:  # not read again
        assert (await tepi(later, "node", "list")).exit_code == 0


async def test_a_sites_history_is_listed_compared_and_taken_back(control: Control, tmp_path: Path) -> None:
    await tepi(control, "site", "add", shop(tmp_path))
    await tepi(control, "site", "close", "shop")
    listed = await tepi(control, "site", "history", "shop")
    assert [line.split()[0] for line in listed.stdout.splitlines()[1:]] == ["2", "1"]
    compared = await tepi(control, "site", "changes", "shop")
    assert compared.stdout.splitlines() == ["maintenance", '  + {"enabled": true}']
    same = await tepi(control, "site", "changes", "shop", "--from", "1", "--to", "1")
    assert same.stdout == "versions 1 and 1 are the same\n"
    assert (await tepi(control, "site", "restore", "shop", "1")).exit_code == 0
    assert "maintenance" not in (await tepi(control, "site", "show", "shop")).stdout
    missing = await tepi(control, "site", "restore", "shop", "99")
    assert missing.exit_code == 1
    assert "there is no version 99 of shop" in missing.output


async def test_a_trial_is_begun_shown_and_settled_by_verbs(control: Control, tmp_path: Path) -> None:
    for name in ("jakarta", "frankfurt"):
        await joined(control, name)
    await tepi(control, "site", "add", shop(tmp_path))
    tried = shop(tmp_path, SHOP + "[cache]\nstale_if_error = 60\n", "tried.toml")
    begun = await tepi(control, "site", "try", tried, "--node", "jakarta", "--minutes", "30")
    assert begun.stdout == "shop is on trial at jakarta\n", begun.output
    shown = (await tepi(control, "site", "trial", "shop")).stdout.splitlines()
    assert shown[0].startswith("shop at jakarta since ")
    assert shown[1:] == ["  there: 0 answers", "  elsewhere: 0 answers"]
    refused = await tepi(control, "site", "update", tried)
    assert "promote or abandon that first" in refused.output
    assert (await tepi(control, "site", "promote", "shop")).exit_code == 0
    assert (await tepi(control, "site", "trial", "shop")).stdout.splitlines()[1] == "promoted"
    again = await tepi(control, "site", "try", shop(tmp_path), "--node", "jakarta")
    assert again.exit_code == 0
    assert (await tepi(control, "site", "abandon", "shop")).exit_code == 0
    assert (await tepi(control, "site", "abandon", "shop")).exit_code == 1
    nowhere = await tepi(control, "site", "try", tried, "--node", "sydney")
    assert "nodes.0: got 'sydney', expected an edge of the fleet: frankfurt, jakarta" in nowhere.output
