"""`tepi hooks`: webhooks that wait, and those that the origin would not take."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from control.client import connected


@click.group("hooks")
def command() -> None:
    """Lists, shows, replays or discards webhooks that the origin refused."""


def _at(function: Callable[..., None]) -> Callable[..., None]:
    function = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)
    return click.option(
        "--node",
        "node_url",
        required=True,
        envvar="TEPI_NODE",
        help="The node's admin listener; also TEPI_NODE.",
    )(function)


def _which(function: Callable[..., None]) -> Callable[..., None]:
    function = click.option("--all", "every", is_flag=True, help="Every dead letter.")(function)
    return click.argument("letters", nargs=-1)(function)


@command.command("list")
@_at
def list_letters(node_url: str, as_json: bool) -> None:
    """What waits for the origin, and the dead letters."""
    document = _ask(node_url, "list", (), every=True)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    console = Console(highlight=False)
    console.print(f"{document['waiting']} waiting, {document['dead']} dead letters")
    for lane in document["lanes"]:
        why = f": {lane['error']}" if lane["error"] else ""
        console.print(f"{lane['site']} {lane['provider']}: {lane['waiting']} waiting{why}", markup=False)
    if document["letters"]:
        console.print(_table(document["letters"]))


@command.command("inspect")
@_which
@_at
def inspect(letters: tuple[str, ...], every: bool, node_url: str, as_json: bool) -> None:
    """Shows dead letters with their bodies. They may hold visitors' data."""
    for letter in _ask(node_url, "inspect", letters, every=every)["letters"]:
        click.echo(json.dumps(letter, indent=None if as_json else 2, ensure_ascii=False))


@command.command("replay")
@_which
@_at
def replay(letters: tuple[str, ...], every: bool, node_url: str, as_json: bool) -> None:
    """Sends dead letters to the origin again."""
    _did(_ask(node_url, "replay", letters, every=every), "replayed", as_json)


@command.command("discard")
@_which
@_at
def discard(letters: tuple[str, ...], every: bool, node_url: str, as_json: bool) -> None:
    """Forgets dead letters for good."""
    _did(_ask(node_url, "discard", letters, every=every), "discarded", as_json)


def _did(document: dict[str, Any], word: str, as_json: bool) -> None:
    click.echo(json.dumps(document) if as_json else f"{len(document[word])} {word}")


def _ask(base: str, verb: str, letters: tuple[str, ...], *, every: bool) -> dict[str, Any]:
    if not letters and not every:
        raise click.UsageError("name letters, as `tepi hooks list` shows them, or say --all")
    return asyncio.run(_posted(base, {"verb": verb, "letters": list(letters), "every": every}))


async def _posted(base: str, body: dict[str, Any]) -> dict[str, Any]:
    async with connected(base, None) as api:
        document: dict[str, Any] = await api.call("POST", "/hooks", body)
        return document


def _table(letters: list[dict[str, Any]]) -> Table:
    table = Table("letter", "came", "site", "provider", "id", "tries", "why", box=None, pad_edge=False)
    for one in letters:
        came = datetime.fromtimestamp(one["at"], UTC).isoformat(timespec="seconds")
        table.add_row(
            one["letter"], came, one["site"], one["provider"], escape(one["id"]), str(one["attempts"]),
            escape(one["error"]),
        )  # fmt: skip
    return table
