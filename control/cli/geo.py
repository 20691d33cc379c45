"""`tepi geo`: the database that tells where addresses are."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from geo.update import DEFAULT_URL, Update, UpdateFailed, update


@click.group("geo")
def command() -> None:
    """The database that tells where addresses are."""


@command.command("update")
@click.option("--url", default=DEFAULT_URL, show_default=True, help="An MMDB file, plain or gzip.")
@click.option(
    "--to", type=click.Path(dir_okay=False, path_type=Path), default=Path(".tepi/geo.mmdb"),
    show_default=True, help="The file to replace.",
)  # fmt: skip
def update_command(url: str, to: Path) -> None:
    """Downloads a newer database; only one that opens and answers takes the old one's place."""
    if not url.startswith(("https://", "http://")):
        raise click.BadParameter(f"got {url!r}, expected https://… or http://…", param_hint="--url")
    try:
        made = asyncio.run(_with_bar(url, to))
    except UpdateFailed as error:
        raise click.ClickException(f"{error}. Nothing was changed.") from error
    day = datetime.fromtimestamp(made.built, UTC).date()
    click.echo(f"{made.path}: {made.kind} of {day}, {made.size / 2**20:.1f} MiB.")
    click.echo(f'Nodes use it with: geo_database = "{made.path.resolve()}"')


async def _with_bar(url: str, to: Path) -> Update:
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(to.name, total=None)
        return await update(url, to, lambda came, total: bar.update(task, completed=came, total=total))
