"""`tepi control`: API, dashboard and journal of a fleet."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import click
import uvloop

from control.app import serving
from control.cli.process import logging_to_stderr, stop_signal, stops_with_a_sentence
from control.plane import Clocks, build
from control.settings import ControlSettings, load_control
from geo.lookup import Lookup, open_database


@click.command("control")
@click.option(
    "--config", "path", required=True, type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file.",
)  # fmt: skip
@click.option("--new-lineage", is_flag=True, help="After restoring a backup: every node takes a snapshot.")
def command(path: Path, new_lineage: bool) -> None:
    """Runs the control plane."""
    with stops_with_a_sentence():
        settings = load_control(path)
        logging_to_stderr()
        with open_database() as database:
            uvloop.run(_serve(settings, database, new_lineage=new_lineage))


async def _serve(settings: ControlSettings, lookup: Lookup, *, new_lineage: bool) -> None:
    stop = asyncio.create_task(stop_signal())
    plane = await build(settings, Clocks(time.time, time.monotonic), lookup)
    try:
        if new_lineage:
            await plane.journal.new_lineage()
        async with serving(plane):
            await stop
    finally:
        await plane.close()
