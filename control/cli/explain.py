"""`tepi explain URL`: why a node answers as it does, step by step."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from control.cli.options import control_options, need_control
from control.client import connected


@click.command("explain")
@click.argument("url")
@click.option("--method", default="GET", show_default=True, help="The request's method.")
@click.option("--header", "-H", "headers", multiple=True, metavar="NAME:VALUE", help="A header field.")
@click.option("--client", help="The visitor's address, where rules go by it; unset, the node's own.")
@click.option("--at", help="The node to ask; unset, a healthy one.")
@click.option("--node", "node_url", help="A node without control: its admin listener's URL.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@control_options
def command(
    url: str, method: str, headers: tuple[str, ...], client: str | None, at: str | None, node_url: str | None,
    as_json: bool, control: str | None, token: str | None,
) -> None:  # fmt: skip
    """Tells what would happen to a request for URL, without sending it to the origin."""
    fields = {}
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip():
            raise click.UsageError(f"--header: got {header!r}, expected NAME:VALUE")
        fields[name.strip()] = value.strip()
    body: dict[str, Any] = {"url": url, "method": method, "fields": fields}
    if client:
        body["client"] = client
    if node_url:
        document = asyncio.run(_ask(node_url, None, "/explain", body))
    else:
        base, bearer = need_control(control, token)
        if at:
            body["node"] = at
        document = asyncio.run(_ask(base, bearer, "/api/v1/explain", body))
    if as_json:
        click.echo(json.dumps(document, indent=2))
    else:
        show(document, Console())


async def _ask(base: str, token: str | None, path: str, body: dict[str, Any]) -> dict[str, Any]:
    async with connected(base, token) as api:
        document: dict[str, Any] = await api.call("POST", path, body)
        return document


def show(document: dict[str, Any], console: Console) -> None:
    """Prints an explanation."""
    where = f" at {document['node']}" if document.get("node") else ""
    verdict = document["decision"] + (f" ({document['reason']})" if document.get("reason") else "")
    console.print(
        f"[bold]{escape(document['method'])} {escape(document['url'])}[/]{where}: {escape(verdict)}"
    )
    for number, step in enumerate(document["steps"], 1):
        console.print(f"\n[bold]{number}. {escape(step['step'])}[/]  {escape(step['finding'])}")
        for name, value in step["facts"].items():
            console.print(f"   {escape(name)}: {escape(_text(value))}", highlight=False)
    if document.get("variants"):
        console.print(_variants(document["variants"]))
    for advice in document.get("hit_when", ()):
        console.print(f"→ {escape(str(advice))}", highlight=False)


def _variants(variants: list[dict[str, Any]]) -> Table:
    table = Table(title="stored variants", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "status", "age", "lifetime", "left", "bytes", "encodings", "vary", "tags"):
        table.add_column(heading)
    for one in variants:
        table.add_row(
            "→" if one["selected"] else "",
            str(one["status"]),
            f"{one['age']} s",
            f"{one['lifetime']} s ({one['lifetime_from']})",
            f"{one['ttl']} s",
            _size(one),
            " ".join(one["encodings"]),
            escape(_text(one["vary"])),
            escape(" ".join(one["tags"])),
        )
    return table


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _size(variant: dict[str, Any]) -> str:
    """How much of a body is there."""
    if variant["size"] is None:
        return "arriving"
    parts = variant.get("parts")
    return (
        str(variant["size"]) if parts is None else f"{variant['size']}: {', '.join(parts) or 'nothing yet'}"
    )
