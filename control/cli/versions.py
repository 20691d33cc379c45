"""`tepi site history`, `changes` and `restore`: what a site was, and back to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from control.cli.options import control_options, need_control
from control.client import call


@click.command("history")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@control_options
def history(name: str, as_json: bool, control: str | None, token: str | None) -> None:
    """Lists what a site's document was: each version, when and by whom it was made."""
    versions = _call(control, token, "GET", f"{_path(name)}/versions")["versions"]
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
    told = _call(control, token, "GET", f"{_path(name)}/changes" + (f"?{'&'.join(asked)}" if asked else ""))
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
    _call(control, token, "POST", f"{_path(name)}/restore", {"version": version})
    click.echo(f"{name} is as it was in version {version}")


def _path(name: str) -> str:
    return f"/sites/{quote(name, safe='')}"


def _call(control: str | None, token: str | None, method: str, path: str, body: Any = None) -> Any:
    base, bearer = need_control(control, token)
    return call(base, bearer, method, f"/api/v1{path}", body)
