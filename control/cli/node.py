"""`tepi node`: the fleet's members."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from control.cli.options import control_options, need_control
from control.client import ApiRefused, call
from geo.places import UnknownPlace, find_place

STYLES = {"healthy": "green", "unhealthy": "red"}


@click.group("node")
def command() -> None:
    """Adds, lists, shows, drains and revokes nodes."""


@command.command("add")
@click.argument("name")
@click.option(
    "--role", type=click.Choice(["edge", "dns", "origin"]), default="edge", show_default=True,
    help="What it runs.",
)  # fmt: skip
@click.option("--place", help="A city, an airport's code, or City,CC,latitude,longitude.")
@click.option("--address", "addresses", multiple=True, required=True, help="An address that reaches it.")
@click.option("--capacity", type=float, default=1.0, show_default=True, help="Its share within one place.")
@click.option("--again", is_flag=True, help="Revoke a node of that name first: it has lost its state.")
@control_options
def add(
    name: str, role: str, place: str | None, addresses: tuple[str, ...], capacity: float, again: bool,
    control: str | None, token: str | None,
) -> None:  # fmt: skip
    """Announces the node NAME and prints its one-time join token."""
    body: dict[str, Any] = {"name": name, "role": role, "addresses": addresses, "capacity": capacity}
    if place:
        try:
            body["place"] = asdict(find_place(place))
        except UnknownPlace as error:
            raise click.BadParameter(str(error), param_hint="--place") from error
    if again:
        try:
            _call(control, token, "DELETE", f"/nodes/{quote(name, safe='')}")
        except ApiRefused as error:
            if error.status != 404:
                raise
    made = _call(control, token, "POST", "/nodes", body)
    click.echo(made["join_token"])
    click.echo(
        f"\nOn the machine {name}: put this token in a file, name the file in its configuration\n"
        f'(control.join_token = "file:PATH"), and start `tepi {role} --config FILE`.',
        err=True,
    )


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@control_options
def list_nodes(as_json: bool, control: str | None, token: str | None) -> None:
    """Lists all nodes."""
    nodes = _call(control, token, "GET", "/nodes")["nodes"]
    if as_json:
        click.echo(json.dumps(nodes, indent=2))
        return
    table = Table("name", "role", "place", "addresses", "health", "behind", "version", box=None)
    for node in nodes:
        place = node["place"] or {}
        health = node["health"] if node["joined"] else "not joined"
        table.add_row(
            node["name"],
            node["role"],
            escape(f"{place['city']}, {place['country']}") if place else "",
            " ".join(node["addresses"]),
            f"[{STYLES.get(health, 'yellow')}]{health}[/]",
            "" if node["behind"] is None else str(node["behind"]),
            escape(node["version"]),
        )
    Console().print(table)


@command.command("show")
@click.argument("name")
@control_options
def show(name: str, control: str | None, token: str | None) -> None:
    """Shows one node, counters and all."""
    click.echo(json.dumps(_call(control, token, "GET", f"/nodes/{quote(name, safe='')}"), indent=2))


@command.command("drain")
@click.argument("name")
@control_options
def drain(name: str, control: str | None, token: str | None) -> None:
    """Sends visitors elsewhere, as long as any other node is healthy; the node answers who still comes."""
    _call(control, token, "PATCH", f"/nodes/{quote(name, safe='')}", {"draining": True})
    click.echo(f"{name} is being drained; DNS answers that are out hold for their TTL")


@command.command("undrain")
@click.argument("name")
@control_options
def undrain(name: str, control: str | None, token: str | None) -> None:
    """Sends visitors to the node again."""
    _call(control, token, "PATCH", f"/nodes/{quote(name, safe='')}", {"draining": False})
    click.echo(f"{name} gets visitors again")


@command.command("revoke")
@click.argument("name")
@control_options
def revoke(name: str, control: str | None, token: str | None) -> None:
    """Strikes a node from the fleet: its certificate is worth nothing any more."""
    _call(control, token, "DELETE", f"/nodes/{quote(name, safe='')}")
    click.echo(f"{name} is revoked")


def _call(control: str | None, token: str | None, method: str, path: str, body: Any = None) -> Any:
    base, bearer = need_control(control, token)
    return call(base, bearer, method, f"/api/v1{path}", body)
