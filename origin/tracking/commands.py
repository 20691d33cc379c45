"""`tepi origin stock …`: locations, lists of stock and deliveries, over the origin's admin listener."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from origin.asking import admin_option, ask

TRACKING = "/plugins/tracking"
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("stock")
def stock() -> None:
    """Stock by location: what there is, what came in, what was counted."""


@stock.command("list")
@admin_option
def list_stock(admin: str) -> None:
    """Lists every SKU with what can be promised, and its levels by location."""
    for one in ask(admin, f"{TRACKING}/stock")["stock"]:
        mark = "  reorder" if one["reorder"] else ""
        click.echo(f"{one['sku']:18} {one['available']:>6}  {one['says']}{mark}")
        for level in one["levels"]:
            click.echo(
                f"  {level['location']:16} {level['on_hand']:>6} on hand, {level['reserved']} reserved, "
                f"{level['safety']} kept back"
            )


@stock.command("locate")
@click.argument("code")
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(["warehouse", "centre", "shop"]), default="warehouse", show_default=True,
    help="What it is.",
)  # fmt: skip
@click.option("--country", default="ID", show_default=True, help="Its country, two letters.")
@click.option("--at", nargs=2, type=float, help="Its latitude and longitude, in degrees.")
@admin_option
def locate(code: str, name: str, kind: str, country: str, at: tuple[float, float] | None, admin: str) -> None:
    """Adds the location CODE, called NAME, or changes what is known of it."""
    latitude, longitude = at or (None, None)
    body = {
        "code": code, "name": name, "kind": kind, "country": country,
        "latitude": latitude, "longitude": longitude,
    }  # fmt: skip
    ask(admin, f"{TRACKING}/locations", body)
    click.echo(f"{code}: {name}")


@stock.command("count")
@click.argument("file", type=FILE)
@click.option("--preview", is_flag=True, help="Only say what is wrong with which row.")
@admin_option
def count(file: Path, preview: bool, admin: str) -> None:
    """Takes the list in FILE (CSV) as what there is: all of it, or nothing if a row is wrong."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file}: expected UTF-8: {error}") from error
    seen = ask(admin, f"{TRACKING}/count", {"text": text, "preview": True})
    for one in seen["wrong"]:
        click.echo(f"row {one['row']}: {one['field']}: {one['detail']}", err=True)
    if seen["wrong"]:
        raise click.ClickException("nothing was changed")
    if not preview:
        ask(admin, f"{TRACKING}/count", {"text": text, "by": getpass.getuser()})
    click.echo(f"{seen['rows']} rows are {'good' if preview else 'taken'}")


@stock.command("receive")
@click.argument("sku")
@click.argument("location")
@click.argument("pieces", type=click.IntRange(1, 10**6))
@click.option("--reference", default="", help="The delivery's number.")
@admin_option
def receive(sku: str, location: str, pieces: int, reference: str, admin: str) -> None:
    """Adds PIECES of SKU that came in at LOCATION."""
    body = {"sku": sku, "location": location, "quantity": pieces, "reference": reference}
    click.echo(f"{sku}: {ask(admin, f'{TRACKING}/receive', body)['available']} can be promised")


@stock.command("pick")
@click.argument("hold")
@admin_option
def pick(hold: str, admin: str) -> None:
    """Says that the goods of an order's HOLD have left their shelves."""
    ask(admin, f"{TRACKING}/pick/{hold}", {})
    click.echo(f"{hold} is picked")
