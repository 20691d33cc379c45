"""`tepi origin risk …`: rules and reviews, over the origin's admin listener."""

from __future__ import annotations

import getpass
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from origin.asking import admin_option, ask
from origin.risk.notation import as_toml
from origin.risk.rules import RuleSet

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("risk")
def risk() -> None:
    """Who may pay: rules, reviews, and how well the rules do."""


@risk.group("rules")
def rules() -> None:
    """The rules, by version."""


@rules.command("show")
@admin_option
def show(admin: str) -> None:
    """Prints the rules of now as a file that `set` takes."""
    found = ask(admin, "/plugins/risk/rules")
    click.echo(f"# version {found['version']}")
    click.echo("\n" + as_toml(RuleSet(rules=found["rules"]).rules), nl=False)


@rules.command("facts")
@admin_option
def facts(admin: str) -> None:
    """Lists what conditions can speak of."""
    for name, meaning in ask(admin, "/plugins/risk/rules")["facts"].items():
        click.echo(f"{name:18} {meaning}")


@rules.command("set")
@click.argument("file", type=FILE)
@admin_option
def set_rules(file: Path, admin: str) -> None:
    """Lets the rules in FILE hold from now on, as a new version."""
    made = ask(admin, "/plugins/risk/rules", {**_read(file), "by": getpass.getuser()})
    click.echo(f"version {made['version']} holds from now on")


@rules.command("try")
@click.argument("file", type=FILE)
@click.option("--days", default=30, show_default=True, help="How far back the history goes.")
@admin_option
def try_rules(file: Path, days: int, admin: str) -> None:
    """Says what the rules in FILE would have decided of past attempts; nothing changes."""
    found = ask(admin, f"/plugins/risk/rules/try?days={days}", _read(file))
    click.echo(f"{found['attempts']} attempts in {days} days")
    for action, count in found["actions"].items():
        click.echo(f"  {action:10} {count}")
    for change, count in found["changes"].items():
        click.echo(f"  changed {change}: {count}")
    blocked = found["newly_blocked"]
    click.echo(f"  newly blocked: {blocked['disputed']} disputed, {blocked['paid']} paid without a dispute")
    for rule, count in found["matches"].items():
        click.echo(f"  {rule}: {count} matched")


@risk.command("queue")
@admin_option
def queue(admin: str) -> None:
    """Lists what waits for a review."""
    for one in ask(admin, "/plugins/risk/queue")["waiting"]:
        at = datetime.fromtimestamp(one["at"], UTC).isoformat(timespec="seconds")
        facts = one["facts"]
        amount = f"{facts['amount']:,.2f} {facts['currency']}"
        click.echo(f"{one['id']}  {at}  {one['order_id']}  {amount}  {', '.join(one['matched'])}")


@risk.command("approve")
@click.argument("decision")
@admin_option
def approve(decision: str, admin: str) -> None:
    """Lets the order of DECISION through."""
    _answer(admin, decision, True)


@risk.command("reject")
@click.argument("decision")
@admin_option
def reject(decision: str, admin: str) -> None:
    """Refuses the order of DECISION."""
    _answer(admin, decision, False)


@risk.command("report")
@click.option("--days", default=30, show_default=True, help="How far back it goes.")
@admin_option
def report(days: int, admin: str) -> None:
    """Shows approval, block, dispute and false-positive rates by rule."""
    click.echo(f"{'rule':24} {'attempts':>8} {'approved':>9} {'blocked':>8} {'disputed':>9} {'false +':>8}")
    for one in ask(admin, f"/plugins/risk/report?days={days}")["rules"]:
        rates = [one[name] for name in ("approval", "block", "dispute", "false_positive")]
        shown = ["–" if rate is None else f"{rate:.1%}" for rate in rates]
        click.echo(
            f"{one['rule']:24} {one['attempts']:>8} {shown[0]:>9} {shown[1]:>8} {shown[2]:>9} {shown[3]:>8}"
        )


def _answer(admin: str, decision: str, approved: bool) -> None:
    ask(admin, f"/plugins/risk/decisions/{decision}", {"approved": approved, "by": getpass.getuser()})
    click.echo(f"{decision}: {'approved' if approved else 'rejected'}")


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: {error}") from error
