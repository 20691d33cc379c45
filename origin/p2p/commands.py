"""`tepi origin p2p …`: moderation, over the origin's admin listener."""

from __future__ import annotations

import getpass

import click

from origin.asking import admin_option, ask


@click.group("p2p")
def p2p() -> None:
    """Moderates what members list."""


@p2p.command("cases")
@admin_option
def waiting(admin: str) -> None:
    """Lists reported listings and appeals that wait for a decision."""
    for one in ask(admin, "/plugins/p2p/cases")["waiting"]:
        click.echo(f"{one['ref']}  {one['state']}  {one['reports']} reports  {one['title']}")
        for said in one["said"]:
            click.echo(f"    {said['kind']}: {said['text']}")
        if one["appeal"]:
            click.echo(f"    appeal: {one['appeal']}")


@p2p.command("decide")
@click.argument("ref")
@click.argument("action", type=click.Choice(["takedown", "dismiss", "restore"]))
@click.option("--reason", required=True, help="Why; the listing's author is told it.")
@admin_option
def decide(ref: str, action: str, reason: str, admin: str) -> None:
    """Takes the listing REF down, dismisses its reports or its author's appeal, or lets him list again."""
    ask(admin, f"/plugins/p2p/cases/{ref}", {"action": action, "reason": reason, "by": getpass.getuser()})
    click.echo(f"{ref}: {action}")
