"""`tepi control`: API, dashboard and journal of a fleet."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click
import uvloop

from control.app import serving
from control.audit import Audit, Broken
from control.auth import Auth
from control.backup import back_up, restore
from control.cli.process import logging_to_stderr, stop_signal, stops_with_a_sentence
from control.db.database import Database, answering
from control.people import Change, Nobody, People
from control.plane import Clocks, build, database_of, existing_journal_key
from control.settings import ControlSettings, load_control
from edge.listeners import AddressTaken
from geo.lookup import Lookup, open_database

T = TypeVar("T")


@click.group("control", invoke_without_command=True)
@click.option(
    "--config", "path", type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file.",
)  # fmt: skip
@click.option("--new-lineage", is_flag=True, help="After restoring by other means: nodes take snapshots.")
@click.pass_context
def command(context: click.Context, path: Path | None, new_lineage: bool) -> None:
    """Runs the control plane; with a verb, does something to its state instead."""
    context.obj = path
    if context.invoked_subcommand is not None:
        return
    with stops_with_a_sentence(AddressTaken):
        settings = _settings(path)
        logging_to_stderr()
        with open_database() as database:
            uvloop.run(_serve(settings, database, new_lineage=new_lineage))


@command.command("backup")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def backup(path: Path | None, file: Path) -> None:
    """Writes all of control's state, keys included, to FILE; control may run meanwhile."""

    with stops_with_a_sentence():
        settings = _settings(path)
        about = asyncio.run(
            _with_database(settings, lambda base: back_up(base, settings.directory, file, time.time()))
        )
    click.echo(
        f"{file}: {about.rows} rows at journal {about.number}. The fleet's keys are in it: keep it safe."
    )


@command.command("restore")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.pass_obj
def restore_(path: Path | None, file: Path) -> None:
    """Brings FILE into an empty database and state directory; then start control."""

    with stops_with_a_sentence():
        settings = _settings(path)
        about = asyncio.run(_with_database(settings, lambda base: restore(base, settings.directory, file)))
    then = datetime.fromtimestamp(about.at, UTC).isoformat(timespec="seconds")
    click.echo(f"restored {about.rows} rows of {then}, journal {about.number}; a new lineage begins.")


@command.command("audit")
@click.option("--known", help="The hash of an entry that was noted down: it must be there.")
@click.pass_obj
def audit_(path: Path | None, known: str | None) -> None:
    """Says whether the audit log is whole and unchanged. Exit code 1 if it is not."""
    with stops_with_a_sentence():
        settings = _settings(path)
        key = existing_journal_key(settings.directory)

        async def verify(database: Database) -> tuple[int, str]:
            return await Audit(database, key, time.time).verify(known)

        try:
            count, head = asyncio.run(_with_database(settings, verify))
        except Broken as error:
            raise click.ClickException(f"the audit log does not hold: {error}") from error
    click.echo(f"{count} entries, whole and unchanged; the last one's hash is {head}")


@command.command("password")
@click.argument("user")
@click.pass_obj
def password_(path: Path | None, user: str) -> None:
    """Gives USER a new password and takes the second factor away, for whoever is locked out."""
    with stops_with_a_sentence():
        settings = _settings(path)
        key, fresh = existing_journal_key(settings.directory), secrets.token_urlsafe(12)

        async def change(database: Database) -> None:
            audit = Audit(database, key, time.time)
            auth = Auth(database, clock=time.time, monotonic=time.monotonic, session_seconds=0, audit=audit)
            people = People(database, auth, audit, time.time)
            await people.change_user(user, Change(password=fresh, forget_second_factor=True))

        try:
            asyncio.run(_with_database(settings, change))
        except Nobody as error:
            raise click.ClickException(str(error)) from error
    click.echo(f"{user} logs in with {fresh} now; change it on the page of your account.")


def _settings(path: Path | None) -> ControlSettings:
    """The configuration that `--config` names. Raises Refused."""
    if path is None:
        raise click.UsageError("name the configuration: --config FILE, before the verb")
    return load_control(path)


async def _with_database(settings: ControlSettings, work: Callable[[Database], Awaitable[T]]) -> T:
    settings.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = database_of(settings)
    try:
        with answering():
            return await work(database)
    finally:
        await database.close()


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
