"""`tepi origin checkout …`: orders and their money, over the origin's admin listener."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

import click

from origin.asking import admin_option, ask, fetch
from origin.checkout.states import STATES
from origin.contract import Money
from origin.money import decimal

PAGES = "/plugins/checkout"


@click.group("checkout")
def checkout() -> None:
    """Orders: who bought what, and what became of the money."""


@checkout.command("orders")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@click.option("--find", "text", default="", help="An order, a reference, or an e-mail address.")
@click.option("--csv", "file", type=click.Path(dir_okay=False, path_type=Path), help="The file to write.")
@admin_option
def orders(state: str | None, text: str, file: Path | None, admin: str) -> None:
    """Lists the latest orders."""
    query = urlencode({"q": text, "state": state or ""})
    if file is not None:
        file.write_bytes(fetch(admin, f"{PAGES}/orders?as=csv&{query}"))
        return
    for one in ask(admin, f"{PAGES}/orders?{query}")["orders"]:
        total, paid = (_amount(one[name], one["currency"]) for name in ("total", "paid"))
        click.echo(f"{one['id']}  {_moment(one['created_at'])}  {one['state']:20} {total:>18} {paid:>18}")


@checkout.command("show")
@click.argument("order")
@admin_option
def show(order: str, admin: str) -> None:
    """Tells what happened to ORDER, and what was booked of it."""
    found = ask(admin, f"{PAGES}/orders/{quote(order, safe='')}")
    currency = found["currency"]
    sums = ", ".join(f"{name} {_amount(found[name], currency)}" for name in ("total", "paid", "refunded"))
    click.echo(f"{found['id']}: {found['state']}; {sums}")
    for one in found["history"]:
        click.echo(f"  {_moment(one['at'])}  {one['what']}")
    for one in found["transfers"]:
        amount = _amount(one["amount"], one["currency"])
        click.echo(f"  {_moment(one['at'])}  {one['transfer']}  {one['account']}  {amount}")


@checkout.command("refund")
@click.argument("order")
@click.option("--amount", default="", help="In whole units, such as 85000.00; all that is left if left out.")
@click.option("--reason", default="", help="For your own books.")
@admin_option
def refund(order: str, amount: str, reason: str, admin: str) -> None:
    """Gives money of ORDER back."""
    _do(admin, order, "refund", amount, reason)


@checkout.command("capture")
@click.argument("order")
@click.option("--amount", default="", help="In whole units, such as 85000.00; all of it if left out.")
@admin_option
def capture(order: str, amount: str, admin: str) -> None:
    """Takes the money that was authorized for ORDER."""
    _do(admin, order, "capture", amount)


@checkout.command("cancel")
@click.argument("order")
@admin_option
def cancel(order: str, admin: str) -> None:
    """Ends ORDER, which is not paid."""
    _do(admin, order, "cancel")


@checkout.command("orphans")
@admin_option
def orphans(admin: str) -> None:
    """Lists webhooks about payments that nobody knows."""
    for one in ask(admin, f"{PAGES}/orphans")["orphans"]:
        click.echo(f"{_moment(one['at'])}  {one['provider']}  {one['reference']}")


def _do(admin: str, order: str, deed: str, amount: str = "", reason: str = "") -> None:
    body = {"do": deed, "amount": amount, "reason": reason, "attempt": secrets.token_hex(8)}
    found = ask(admin, f"{PAGES}/orders/{quote(order, safe='')}/do", body)
    state = f"{found['state']}; the refund is {found['refund']}" if "refund" in found else found["state"]
    click.echo(f"{order}: {state}")


def _amount(minor: int, currency: str) -> str:
    return f"{decimal(Money(minor, currency)):,} {currency}"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
