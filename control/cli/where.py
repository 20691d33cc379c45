"""`tepi where ADDRESS`: which node a visitor is sent to, and why."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from control.cli.options import control_options, need_control
from control.client import connected
from edge.document.files import read_toml
from edge.document.problems import Refused, problems_of
from geo.dns.settings import DnsSettings
from geo.lookup import BadDatabase, open_database
from geo.where import BadAddress, explain_where

HEALTH_STYLES = {"healthy": "green", "unknown": "yellow", "draining": "yellow", "unhealthy": "red"}


@click.command("where")
@click.argument("address")
@click.option("--resolver", help="The resolver that the visitor asks.")
@click.option(
    "--config", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A name server's file that names its nodes, instead of control.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@control_options
def command(
    address: str,
    resolver: str | None,
    config: Path | None,
    as_json: bool,
    control: str | None,
    token: str | None,
) -> None:
    """Says which node a visitor from ADDRESS is sent to, and why."""
    if config is not None:
        document = _from_file(config, address, resolver)
    elif not control:
        raise click.UsageError("name the fleet: --control URL (or TEPI_CONTROL), or --config FILE")
    else:
        base, bearer = need_control(control, token)
        document = asyncio.run(_from_control(base, bearer, address, resolver))
    if as_json:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        _show(document, Console())


def _from_file(path: Path, address: str, resolver: str | None) -> dict[str, Any]:
    try:
        settings = DnsSettings.model_validate(read_toml(path))
        with open_database(settings.geo_database) as database:
            return explain_where(address, settings.fleet_value(), database, resolver=resolver).document()
    except ValidationError as error:
        lines = "\n".join(str(problem) for problem in problems_of(error, DnsSettings))
        raise click.UsageError(f"{path}:\n{lines}") from error
    except (Refused, BadDatabase) as error:
        raise click.UsageError(str(error)) from error
    except BadAddress as error:
        raise click.BadParameter(str(error)) from error


async def _from_control(control: str, token: str, address: str, resolver: str | None) -> dict[str, Any]:
    query = {"address": address} | ({"resolver": resolver} if resolver else {})
    async with connected(control, token) as api:
        document: dict[str, Any] = await api.call("GET", f"/api/v1/where?{urlencode(query)}")
        return document


def _show(document: dict[str, Any], console: Console) -> None:
    console.print(_asked("Visitor", document["client"]), markup=False, soft_wrap=True)
    if document["resolver"] is not None:
        console.print(_asked("Resolver", document["resolver"]), markup=False, soft_wrap=True)
    if not document["choices"]:
        console.print("No node: the fleet is empty.")
        return
    first = document["choices"][0]
    because = ", ".join(first["reasons"])
    console.print(f"[bold]{escape(first['node'])}[/bold] ({escape(_place(first))}): {because}")
    if document["decided_by"] == "resolver":
        console.print("The resolver's place decided, for the visitor's is not known.")
    if document["without_subnet"] is not None:
        console.print(
            f"Without client subnet the resolver gets: [bold]{escape(document['without_subnet'])}[/bold]"
        )
    console.print(_table(document["choices"]))


def _asked(title: str, asked: dict[str, Any]) -> str:
    parts = [part for part in (asked["city"], asked["country"]) if part]
    if asked["asn"]:
        parts.append(f"AS{asked['asn']}")
    if asked["source"] == "country":
        parts.append("the country's people-weighted centre")
    if asked["latitude"] is not None:
        parts.append(f"{asked['latitude']:.2f}, {asked['longitude']:.2f}")
    return f"{title} {asked['address']} in {asked['network']}: {', '.join(parts) or 'place not known'}"


def _place(choice: dict[str, Any]) -> str:
    return f"{choice['city']}, {choice['country']}"


def _table(choices: list[dict[str, Any]]) -> Table:
    table = Table()
    for name in ("", "node", "place", "km", "health", "addresses", "why"):
        table.add_column(name, justify="right" if name in ("", "km") else "left")
    for number, choice in enumerate(choices, start=1):
        distance = choice["distance_km"]
        style = HEALTH_STYLES.get(choice["health"], "")
        table.add_row(
            str(number),
            escape(choice["node"]),
            escape(_place(choice)),
            "" if distance is None else f"{distance:,.0f}",
            f"[{style}]{choice['health']}[/{style}]" if style else choice["health"],
            "\n".join(choice["addresses"]),
            "\n".join(choice["reasons"]),
        )
    return table
