"""`tepi purge`: the whole fleet forgets, and says so."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from control.cli.options import control_options, need_control
from control.client import Api, connected

TIMED_OUT = 3


@click.command("purge")
@click.option("--url", help="One URL, in every variant.")
@click.option("--prefix", help="Every URL that begins so.")
@click.option("--tag", help="Everything that bears this tag.")
@click.option("--site", help="Everything of the site with this host or name; with --tag, only its.")
@click.option("--soft", is_flag=True, help="Mark stale instead of dropping.")
@click.option("--dry-run", is_flag=True, help="Tell how much would go, and how hot it is; change nothing.")
@click.option("--wait", is_flag=True, help="Wait for every node that is healthy now.")
@click.option("--timeout", type=float, default=30.0, show_default=True, help="Seconds to wait.")
@click.option("--node", "node_url", help="A node without control: its admin listener's URL.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@control_options
def command(
    url: str | None, prefix: str | None, tag: str | None, site: str | None, soft: bool, dry_run: bool,
    wait: bool, timeout: float, node_url: str | None, as_json: bool, control: str | None, token: str | None,
) -> None:  # fmt: skip
    """Purges by URL, prefix, tag or site. Exit code 3: not all nodes had answered in time."""
    body = purge_body(url, prefix, tag, site, soft=soft, dry_run=dry_run)
    if node_url:
        document = asyncio.run(_at_node(node_url, body))
        said = _would_go(document) if dry_run else f"{document.get('entries', 0)} entries"
        click.echo(json.dumps(document) if as_json else said)
        if not as_json:
            _say_closed(document)
        return
    base, bearer = need_control(control, token)
    document = asyncio.run(_at_control(base, bearer, body, timeout if wait else 0.0))
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        _show(document)
        _say_closed(document)
    if wait and not dry_run and not document["done"]:
        raise SystemExit(TIMED_OUT)


def purge_body(
    url: str | None, prefix: str | None, tag: str | None, site: str | None, *, soft: bool, dry_run: bool
) -> dict[str, Any]:
    """What is asked for, as the API reads it. Raises UsageError unless it is exactly one thing."""
    asked = {"url": url, "prefix": prefix, "tag": tag}
    given = [(kind, value) for kind, value in asked.items() if value]
    if not given and site:
        given, site = [("site", site)], None
    if len(given) != 1 or (site and given[0][0] != "tag"):
        raise click.UsageError("expected one of --url, --prefix, --tag (which --site may narrow) or --site")
    kind, value = given[0]
    return {"kind": kind, "value": value, "soft": soft, "site": site, "dry_run": dry_run}


async def _at_node(base: str, body: dict[str, Any]) -> dict[str, Any]:
    async with connected(base, None) as api:
        document: dict[str, Any] = await api.call("POST", "/purge", body)
        return document


async def _at_control(base: str, token: str, body: dict[str, Any], seconds: float) -> dict[str, Any]:
    async with connected(base, token) as api:
        document: dict[str, Any] = await api.call("POST", "/api/v1/purges", body)
        return await _receipts(api, document, seconds) if seconds and "id" in document else document


async def _receipts(api: Api, order: dict[str, Any], seconds: float) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not order["done"] and (left := until - loop.time()) > 0:
        path = f"/api/v1/purges/{order['id']}?wait={min(left, 60.0):.1f}"
        told = await api.call("GET", path, seconds=min(left, 60.0) + 10.0)
        order = {**told, "closed": order.get("closed", ())}
    return order


def _say_closed(document: dict[str, Any]) -> None:
    for name in document.get("closed", ()):
        click.echo(f"{name} is closed for maintenance: its visitors get 503, whatever was purged")


def _would_go(counted: dict[str, Any]) -> str:
    """What a dry run says, in a line."""
    share, size = counted.get("hot_share", 0.0), decimal(counted.get("bytes", 0))
    return f"{counted['entries']} entries would go, {size}, {share:.0%} of the hot bytes"


def _show(document: dict[str, Any]) -> None:
    console = Console()
    if document.get("dry_run"):
        for name, counted in document["nodes"].items():
            said = counted.get("error") or _would_go(counted)
            console.print(f"{name}: {said}", markup=False, highlight=False)
        if len(document["nodes"]) > 1:
            console.print(f"together: {_would_go(document['total'])}", markup=False, highlight=False)
        return
    table = Table("node", "state", "after", "healthy at the call", box=None, pad_edge=False)
    for receipt in document["receipts"]:
        after = "" if receipt["seconds"] is None else f"{receipt['seconds'] * 1000:.0f} ms"
        style = "green" if receipt["state"] == "applied" else "yellow"
        table.add_row(
            receipt["node"], f"[{style}]{receipt['state']}[/]", after, "yes" if receipt["healthy"] else "no"
        )
    console.print(f"purge {document['id']}, journal number {document['position']['number']}", highlight=False)
    console.print(table)
