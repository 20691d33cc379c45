"""`tepi p2p`: what members of the peer to peer network signed, looked at without asking anybody."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from origin.money import decimal
from origin.p2p.trade import BrokenChain, prove, read_chain

BROKEN = 1


@click.group("p2p")
def command() -> None:
    """Looks at what members of the peer to peer network signed."""


@command.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def verify(file: Path) -> None:
    """Says what the chain of a trade's documents in FILE proves; exits 1 if it is broken."""
    try:
        trade = prove(read_chain(file.read_bytes()))
    except BrokenChain as error:
        click.echo(f"proves nothing: {error}", err=True)
        sys.exit(BROKEN)
    click.echo(f"proved up to: {trade.step}")
    click.echo(f"listing: {trade.listing}\nbuyer: {trade.buyer}\nseller: {trade.seller}")
    click.echo(f"price: {decimal(trade.price)} {trade.price.currency}")
    if trade.payment:
        click.echo(f"payment: {trade.payment}")
    for who, stars in trade.reviews:
        click.echo(f"review by the {'buyer' if who == trade.buyer else 'seller'}: {stars} of 5")
