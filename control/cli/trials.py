"""`tepi site try`, `trial`, `promote` and `abandon`: a change at some nodes first."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from control.cli.options import control_options
from control.cli.sitecalls import ask, of_site, site_in

SHARES = (("errors", "errors"), ("hits", "hits"))


@click.command("try")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--node", "nodes", multiple=True, required=True, help="An edge that goes by it.")
@click.option("--minutes", type=click.IntRange(1), help="It is for all after so long without a turn.")
@control_options
def try_(
    file: Path, nodes: tuple[str, ...], minutes: int | None, control: str | None, token: str | None
) -> None:
    """Lets some edges go by the document in FILE (TOML or JSON), and the rest by the site's own."""
    document = site_in(file)
    body = {"site": document, "nodes": list(nodes), "minutes": minutes}
    made = ask(control, token, "POST", f"{of_site(str(document.get('name')))}/trial", body)
    click.echo(f"{made['site']} is on trial at {', '.join(made['nodes'])}")


@click.command("trial")
@click.argument("name")
@control_options
def trial(name: str, control: str | None, token: str | None) -> None:
    """Shows how a site's trial goes, or how the last one ended."""
    told = ask(control, token, "GET", f"{of_site(name)}/trial")
    began = datetime.fromtimestamp(told["started_at"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    click.echo(f"{name} at {', '.join(told['nodes'])} since {began}, by {told['by']}")
    if told["ended_at"] is not None:
        click.echo(f"{told['outcome']}: {told['reason']}" if told["reason"] else told["outcome"])
        return
    for where, side in (("there", told["at_its_nodes"]), ("elsewhere", told["elsewhere"])):
        shares = [f"{side[key]:.1%} {word}" for key, word in SHARES if side[key] is not None]
        slow = [] if side["p95"] is None else [f"95 of 100 within {side['p95']:g} s"]
        click.echo(f"  {where}: {side['answers']} answers" + "".join(f", {each}" for each in shares + slow))


@click.command("promote")
@click.argument("name")
@control_options
def promote(name: str, control: str | None, token: str | None) -> None:
    """What is on trial is the site's document, at every node."""
    ask(control, token, "POST", f"{of_site(name)}/trial/promote")
    click.echo(f"{name} is promoted")


@click.command("abandon")
@click.argument("name")
@control_options
def abandon(name: str, control: str | None, token: str | None) -> None:
    """Ends a trial: every node goes by the site's own document again."""
    ask(control, token, "DELETE", f"{of_site(name)}/trial")
    click.echo(f"the trial of {name} is over")
