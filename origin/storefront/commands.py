"""`tepi origin product`: the shopkeeper's few words."""

from __future__ import annotations

import click


@click.group("product")
def product() -> None:
    """Prices and stock of the shop's own goods."""
