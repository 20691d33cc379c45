"""`tepi origin product`: the shopkeeper's few words. They ask the running origin at its admin listener."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

import click

from origin.contract import Money
from origin.storefront.goods import price_text
from origin.storefront.goods import rupiah as whole

SECONDS = 10.0


def _admin(command: Any) -> Any:
    return click.option(
        "--admin", default="http://127.0.0.1:8402", envvar="TEPI_ORIGIN_ADMIN", show_default=True,
        help="The origin's admin listener; also TEPI_ORIGIN_ADMIN.",
    )(command)  # fmt: skip


@click.group("product")
def product() -> None:
    """Prices and stock of the shop's own goods."""


@product.command("list")
@_admin
def list_products(admin: str) -> None:
    """Lists all goods with price and stock."""
    for one in _call(admin, "", None)["products"]:
        price = price_text(Money(one["price"]["minor"], one["price"]["currency"]))
        click.echo(f"{one['sku']:18} {price:>14} {one['stock']:>6}  {one['name']}")


@product.command("set-price")
@click.argument("sku")
@click.argument("rupiah", type=click.IntRange(min=0))
@_admin
def set_price(sku: str, rupiah: int, admin: str) -> None:
    """Gives SKU another price, in whole RUPIAH; its pages are purged everywhere."""
    _call(admin, f"/{sku}", {"price": rupiah})
    click.echo(f"{sku}: {price_text(whole(rupiah))}")


@product.command("set-stock")
@click.argument("sku")
@click.argument("pieces", type=click.IntRange(min=0))
@_admin
def set_stock(sku: str, pieces: int, admin: str) -> None:
    """Says how many PIECES of SKU there are; its pages are purged if what they say changes."""
    _call(admin, f"/{sku}", {"stock": pieces})
    click.echo(f"{sku}: {pieces}")


def _call(admin: str, path: str, body: dict[str, Any] | None) -> Any:
    url = f"{admin.rstrip('/')}/plugins/storefront/products{path}"
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter(f"got {admin!r}, expected http://HOST:PORT", param_hint="--admin")
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
            return json.load(response)
    except urllib.error.HTTPError as error:
        try:
            detail = json.load(error).get("detail", "")
        except ValueError:
            detail = ""
        raise click.ClickException(detail or f"{url} answered {error.code}") from error
    except OSError as error:
        raise click.ClickException(f"{url} can't be reached: {error}") from error
