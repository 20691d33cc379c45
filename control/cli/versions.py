"""`tepi site history`, `changes` and `restore`: what a site was, and back to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from control.cli.options import control_options
from control.cli.sitecalls import ask, of_site


@click.command("history")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@control_options
def history(name: str, as_json: bool, control: str | None, token: str | None) -> None:
    """Lists what a site's document was: each version, when and by whom it was made."""
    versions = ask(control, token, "GET", f"{of_site(name)}/versions")["versions"]
    if as_json:
        click.echo(json.dumps(versions, indent=2))
        return
    table = Table("version", "made at", "by", box=None)
    for version in versions:
        at = datetime.fromtimestamp(version["at"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        table.add_row(str(version["number"]), at, escape(version["by"]))
    Console().print(table)


@click.command("changes")
@click.argument("name")
@click.option("--from", "since", type=click.IntRange(1), help="A version; unset, the one before the other.")
@click.option("--to", type=click.IntRange(1), help="A version; unset, the newest.")
@control_options
def changes(name: str, since: int | None, to: int | None, control: str | None, token: str | None) -> None:
    """Shows how two versions of a site differ: the newest two, or others."""
    asked = [f"{key}={number}" for key, number in (("from", since), ("to", to)) if number is not None]
    told = ask(control, token, "GET", f"{of_site(name)}/changes" + (f"?{'&'.join(asked)}" if asked else ""))
    if not told["changes"]:
        click.echo(f"versions {told['from']} and {told['to']} are the same")
    for change in told["changes"]:
        click.echo(change["place"])
        for sign, side, colour in (("-", "before", "red"), ("+", "after", "green")):
            if change[side] is not None:
                click.secho(f"  {sign} {json.dumps(change[side], ensure_ascii=False)}", fg=colour)


@click.command("restore")
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@control_options
def restore(name: str, version: int, control: str | None, token: str | None) -> None:
    """Makes VERSION of a site the newest again, also of a site that was removed."""
    ask(control, token, "POST", f"{of_site(name)}/restore", {"version": version})
    click.echo(f"{name} is as it was in version {version}")
