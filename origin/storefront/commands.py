"""`tepi origin product`: the shopkeeper's few words. They ask the running origin at its admin listener."""

from __future__ import annotations

import click

from origin.asking import admin_option, ask
from origin.contract import Money
from origin.storefront.goods import price_text
from origin.storefront.goods import rupiah as whole

PRODUCTS = "/plugins/storefront/products"


@click.group("product")
def product() -> None:
    """Prices and stock of the shop's own goods."""


@product.command("list")
@admin_option
def list_products(admin: str) -> None:
    """Lists all goods with price and stock."""
    for one in ask(admin, PRODUCTS)["products"]:
        price = price_text(Money(one["price"]["minor"], one["price"]["currency"]))
        click.echo(f"{one['sku']:18} {price:>14} {one['stock']:>6}  {one['name']}")


@product.command("set-price")
@click.argument("sku")
@click.argument("rupiah", type=click.IntRange(min=0))
@admin_option
def set_price(sku: str, rupiah: int, admin: str) -> None:
    """Gives SKU another price, in whole RUPIAH; its pages are purged everywhere."""
    ask(admin, f"{PRODUCTS}/{sku}", {"price": rupiah})
    click.echo(f"{sku}: {price_text(whole(rupiah))}")


@product.command("set-stock")
@click.argument("sku")
@click.argument("pieces", type=click.IntRange(min=0))
@admin_option
def set_stock(sku: str, pieces: int, admin: str) -> None:
    """Says how many PIECES of SKU there are; its pages are purged if what they say changes."""
    ask(admin, f"{PRODUCTS}/{sku}", {"stock": pieces})
    click.echo(f"{sku}: {pieces}")
