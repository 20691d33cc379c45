"""`tepi hooks`: webhooks that wait, and those that the origin would not take."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from control.cli.options import control_options, need_control
from control.client import connected


@click.group("hooks")
def command() -> None:
    """Lists, shows, replays or discards webhooks that the origin refused."""


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom to ask: a node at its own admin listener, or control, of all nodes or of one of them."""

    node_url: str | None
    node: str | None
    control: str | None
    token: str | None

    async def listed(self) -> list[dict[str, Any]]:
        """What waits, and the dead letters, of each node. Raises ClickException."""
        if self.node_url:
            return [{"node": "", **await self._posted("list", (), every=True)}]
        base, bearer = need_control(self.control, self.token)
        query = f"?node={quote(self.node, safe='')}" if self.node else ""
        async with connected(base, bearer) as api:
            found: list[dict[str, Any]] = (await api.call("GET", f"/api/v1/hooks{query}"))["nodes"]
        if self.node and not found:
            raise click.ClickException(f"no edge node called {self.node} is connected")
        return found

    def do(self, verb: str, letters: tuple[str, ...], *, every: bool) -> dict[str, Any]:
        """What was done with them. Raises ClickException."""
        if not letters and not every:
            raise click.UsageError("name letters, as `tepi hooks list` shows them, or say --all")
        return asyncio.run(self._posted(verb, letters, every=every))

    async def _posted(self, verb: str, letters: tuple[str, ...], *, every: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"verb": verb, "letters": list(letters), "every": every}
        base, bearer, path = self.node_url, None, "/hooks"
        if base is None:
            base, bearer = need_control(self.control, self.token)
            if self.node is None:
                raise click.UsageError("say whose letters: --at NAME, or --node URL")
            body, path = {**body, "node": self.node}, "/api/v1/hooks"
        async with connected(base, bearer) as api:
            document: dict[str, Any] = await api.call("POST", path, body)
            return document


def _asking(function: Callable[..., None]) -> Callable[..., None]:
    """Hands `whom` to a verb, from its options."""

    @functools.wraps(function)
    def asked(
        node_url: str | None, at: str | None, control: str | None, token: str | None, **rest: Any
    ) -> None:
        function(whom=Whom(node_url, at, control, token), **rest)

    with_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(asked)
    with_node = click.option(
        "--node", "node_url", envvar="TEPI_NODE", help="A node's own admin listener; also TEPI_NODE."
    )(with_json)
    return control_options(click.option("--at", help="The node's name, asked through control.")(with_node))


def _which(function: Callable[..., None]) -> Callable[..., None]:
    function = click.option("--all", "every", is_flag=True, help="Every dead letter.")(function)
    return click.argument("letters", nargs=-1)(function)


@command.command("list")
@_asking
def list_letters(whom: Whom, as_json: bool) -> None:
    """What waits for the origin, and the dead letters: of a node, or of all."""
    nodes = asyncio.run(whom.listed())
    if as_json:
        click.echo(json.dumps(nodes[0] if whom.node_url else nodes, indent=2))
        return
    console = Console(highlight=False)
    for node in nodes:
        _print(node, console)


def _print(node: dict[str, Any], console: Console) -> None:
    name = f"{node['node']}: " if node["node"] else ""
    if "error" in node:
        console.print(f"{name}{node['error']}", markup=False)
        return
    console.print(f"{name}{node['waiting']} waiting, {node['dead']} dead letters", markup=False)
    for lane in node["lanes"]:
        why = f": {lane['error']}" if lane["error"] else ""
        console.print(f"{lane['site']} {lane['provider']}: {lane['waiting']} waiting{why}", markup=False)
    if node["letters"]:
        console.print(_table(node["letters"]))


@command.command("inspect")
@_which
@_asking
def inspect(letters: tuple[str, ...], every: bool, whom: Whom, as_json: bool) -> None:
    """Shows dead letters with their bodies. They may hold visitors' data."""
    for letter in whom.do("inspect", letters, every=every)["letters"]:
        click.echo(json.dumps(letter, indent=None if as_json else 2, ensure_ascii=False))


@command.command("replay")
@_which
@_asking
def replay(letters: tuple[str, ...], every: bool, whom: Whom, as_json: bool) -> None:
    """Sends dead letters to the origin again."""
    _did(whom.do("replay", letters, every=every), "replayed", as_json)


@command.command("discard")
@_which
@_asking
def discard(letters: tuple[str, ...], every: bool, whom: Whom, as_json: bool) -> None:
    """Forgets dead letters for good."""
    _did(whom.do("discard", letters, every=every), "discarded", as_json)


def _did(document: dict[str, Any], word: str, as_json: bool) -> None:
    click.echo(json.dumps(document) if as_json else f"{len(document[word])} {word}")


def _table(letters: list[dict[str, Any]]) -> Table:
    table = Table("letter", "came", "site", "provider", "id", "tries", "why", box=None, pad_edge=False)
    for one in letters:
        came = datetime.fromtimestamp(one["at"], UTC).isoformat(timespec="seconds")
        table.add_row(
            one["letter"], came, one["site"], one["provider"], escape(one["id"]), str(one["attempts"]),
            escape(one["error"]),
        )  # fmt: skip
    return table
