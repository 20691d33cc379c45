"""`tepi where ADDRESS`: which node a visitor is sent to, and why."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
import click
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge.config import read_toml
from edge.problems import Refused, problems_of
from geo.dns.settings import DnsSettings
from geo.lookup import BadDatabase, open_database
from geo.where import BadAddress, explain_where

TIMEOUT = aiohttp.ClientTimeout(total=10)
HEALTH_STYLES = {"healthy": "green", "unknown": "yellow", "draining": "yellow", "unhealthy": "red"}


@click.command("where")
@click.argument("address")
@click.option("--resolver", help="The resolver that the visitor asks.")
@click.option("--control", envvar="TEPI_CONTROL", help="Control's URL; also TEPI_CONTROL.")
@click.option("--token", envvar="TEPI_TOKEN", help="An API token; also TEPI_TOKEN.")
@click.option(
    "--config", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A name server's file that names its nodes, instead of control.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Prints JSON.")
def command(
    address: str,
    resolver: str | None,
    control: str | None,
    token: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Says which node a visitor from ADDRESS is sent to, and why."""
    if config is not None:
        document = _from_file(config, address, resolver)
    elif control:
        document = asyncio.run(_from_control(control, token, address, resolver))
    else:
        raise click.UsageError("name the fleet: --control URL (or TEPI_CONTROL), or --config FILE")
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


async def _from_control(
    control: str, token: str | None, address: str, resolver: str | None
) -> dict[str, Any]:
    url = f"{control.rstrip('/')}/api/v1/where"
    query = {"address": address} | ({"resolver": resolver} if resolver else {})
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT) as session,
            session.get(url, params=query, headers=headers) as response,
        ):
            document = await response.json(content_type=None)
            if response.status == 200 and isinstance(document, dict):
                return document
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise click.ClickException(f"{url}: {str(error) or type(error).__name__}") from error
    raise click.ClickException(f"{url} answered {response.status}: {_problem(document)}")


def _problem(document: object) -> str:
    """What a problem document (RFC 9457) says, with its fields' errors."""
    if not isinstance(document, dict):
        return str(document)
    text = str(document.get("detail") or document.get("title") or "no reason given")
    errors = document.get("errors")
    for error in errors if isinstance(errors, list) else []:
        if isinstance(error, dict):
            text += f"; {error.get('field')}: got {error.get('got')}, expected {error.get('expected')}"
    return text


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
