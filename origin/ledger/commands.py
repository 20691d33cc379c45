"""`tepi origin ledger …`: reports, exports and reconciliation, over the origin's admin listener."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import click

from origin.asking import admin_option, ask, fetch

F = TypeVar("F", bound=Callable[..., Any])
DAY = click.DateTime(["%Y-%m-%d"])


def _days(command: F) -> F:
    for name, about in (
        ("--last", "The last day, included; today if left out."),
        ("--first", "The first day."),
    ):
        command = click.option(name, type=DAY, help=about)(command)
    return command


@click.group("ledger")
def ledger() -> None:
    """The shop's books: reports, exports, and what providers say of them."""


@ledger.command("report")
@_days
@click.option("--period", default="day", show_default=True, help="day, week, month or all.")
@click.option("--by", default="", help="Some of provider,method: a line for each.")
@click.option("--as", "kind", default="text", show_default=True, help="text, csv or xlsx.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@admin_option
def report(first: Any, last: Any, period: str, by: str, kind: str, output: Path | None, admin: str) -> None:
    """Shows what was taken, refunded, kept by providers and paid out."""
    query = _query(first, last, period=period, by=by)
    if kind != "text":
        _write(output, fetch(admin, f"/plugins/ledger/report?{query}&as={kind}"))
        return
    found = ask(admin, f"/plugins/ledger/report?{query}")
    heads = ("since", "what", "payments", "taken", "refunded", "fees", "net", "paid out")
    rows = [heads] + [
        (
            line["start"], " ".join(filter(None, (line["currency"], line["provider"], line["method"]))),
            str(line["payments"]),
            *(line[name]["text"] for name in ("gross", "refunded", "fees", "net", "paid_out")),
        )
        for line in [*found["lines"], *({**one, "start": "in all"} for one in found["totals"])]
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    for row in rows:
        left = [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
        click.echo(
            "  ".join(left + [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)])
        )


@ledger.command("export")
@_days
@click.option("--as", "kind", default="csv", show_default=True, help="csv, xlsx or beancount.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@admin_option
def export(first: Any, last: Any, kind: str, output: Path | None, admin: str) -> None:
    """Writes every entry; as beancount the whole books, with the balances that must come out."""
    _write(output, fetch(admin, f"/plugins/ledger/entries?{_query(first, last)}&as={kind}"))


@ledger.command("balances")
@admin_option
def balances(admin: str) -> None:
    """Lists what every account holds."""
    for one in ask(admin, "/plugins/ledger/accounts")["accounts"]:
        click.echo(f"{one['account']:40} {one['text']:>24} {one['currency']}")


@ledger.command("check")
@admin_option
def check(admin: str) -> None:
    """Adds up all postings again and holds the balances against them; exits with 1 where one is wrong."""
    wrong = ask(admin, "/plugins/ledger/check")["wrong"]
    for one in wrong:
        click.echo(f"{one['account']} {one['currency']}: says {one['says']}, sums to {one['sums']}")
    if wrong:
        raise SystemExit(1)
    click.echo("every balance is the sum of its postings")


@ledger.command("reconcile")
@click.argument("provider")
@click.argument("statement", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--format", "format_", default="", help="stripe, midtrans, xendit or plain; else the provider's."
)
@_days
@admin_option
def reconcile(provider: str, statement: Path, format_: str, first: Any, last: Any, admin: str) -> None:
    """Holds PROVIDER's STATEMENT (CSV) against the books; exits with 1 where something is amiss."""
    days = {name: f"{day:%Y-%m-%d}" for name, day in (("first", first), ("last", last)) if day is not None}
    try:
        text = statement.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{statement}: {error.reason}, expected UTF-8") from error
    body = {"provider": provider, "format": format_ or provider, "statement": text, **days}
    made = ask(admin, "/plugins/ledger/reconcile", body)
    for state, count in made["counts"].items():
        click.echo(f"{state:20} {count}")
    for one in made["findings"]:
        where = f"line {one['line']}" if one["line"] is not None else one["transfer"]
        click.echo(f"{where}: {one['state']}: {one['amount']['text']} {one['amount']['currency']}")
        for reason in one["reasons"]:
            click.echo(f"  {reason}")
    if made["findings"]:
        raise SystemExit(1)


def _query(first: Any, last: Any, **words: str) -> str:
    days = {name: f"{day:%Y-%m-%d}" for name, day in (("first", first), ("last", last)) if day is not None}
    return urlencode({**days, **words})


def _write(output: Path | None, body: bytes) -> None:
    if output is None:
        sys.stdout.buffer.write(body)
    else:
        output.write_bytes(body)
