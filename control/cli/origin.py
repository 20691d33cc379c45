"""`tepi origin`: the commerce plugins behind the edge."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import click
import uvloop
from pydantic import ValidationError

from control.cli.process import logging_to_stderr, stop_signal, stops_with_a_sentence
from edge.agent import Agent
from edge.checkpoint import Checkpoint
from edge.document.files import read_toml
from edge.document.problems import Problem, Refused, problems_of
from edge.identity import obtain
from edge.journal import Document, Event, Reader, Snapshot
from edge.listeners import AddressTaken
from edge.secrets import resolve
from origin.app import BadSecret, CannotListen, Origin, Wiring, serving
from origin.registry import BrokenPlugin, installed, load, settings_of
from origin.settings import OriginSettings


class Members:
    """What the origin does with what control says: it learns which nodes' word counts."""

    def __init__(self) -> None:
        self._serials: dict[str, str] = {}

    def __call__(self, name: str, serial: str) -> bool:
        """Whether a certificate is a member's valid one."""
        return self._serials.get(name) == serial

    async def apply(self, event: Event) -> None:
        """Takes in a fleet; the rest is not for origins."""
        if event.kind == "fleet.put":
            self._take(event.body["nodes"])

    async def load(self, snapshot: Snapshot, *, known: bool = False) -> None:
        """Takes in the fleet."""
        self._take(snapshot.fleet)

    async def health(self, nodes: dict[str, str]) -> None:
        """Not for origins."""

    async def command(self, verb: str, body: Document) -> Document:
        """Origins take none."""
        raise ValueError(f"an origin has no command {verb}")

    def heartbeat(self) -> Document:
        """Nothing that control adds up."""
        return {}

    def _take(self, nodes: Iterable[Document]) -> None:
        self._serials = {str(node["name"]): str(node["serial"]) for node in nodes}


class _Origin(click.Group):
    """Runs the origin itself when no plugin's command is named; plugins add theirs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_plugin_commands())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _plugin_commands().get(cmd_name)


def _plugin_commands() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for kind in load(installed()).values():
        for one in kind().commands():
            found[one.name or ""] = one
    return found


@click.group("origin", cls=_Origin, invoke_without_command=True)
@click.option(
    "--config", "path", type=click.Path(dir_okay=False, path_type=Path), help="The configuration file."
)
@click.pass_context
def command(context: click.Context, path: Path | None) -> None:
    """Runs the commerce origin, or a command of one of its plugins."""
    if context.invoked_subcommand is not None:
        context.obj = None if path is None else load_settings(path)
        return
    if path is None:
        raise click.UsageError("expected --config FILE")
    with stops_with_a_sentence(AddressTaken, BrokenPlugin):
        settings = load_settings(path)
        logging_to_stderr()
        uvloop.run(_serve(settings))


def load_settings(path: Path) -> OriginSettings:
    """The configuration in `path`. Raises Refused."""
    try:
        return OriginSettings.model_validate(read_toml(path))
    except ValidationError as error:
        raise Refused(problems_of(error, OriginSettings)) from None


async def _serve(settings: OriginSettings) -> None:
    plugins = load(installed())
    plugin_settings = settings_of(plugins, settings.plugins)
    members = Members()
    agent: Agent | None = None
    mutual = None
    if settings.control is not None:
        state = settings.directory
        identity = await obtain(state, settings.control.url, settings.control.join_token, version("tepi"))
        mutual = identity.server_context()
        agent = Agent(
            url=settings.control.url,
            context=identity.client_context(),
            reader=Reader.of(identity.journal_key),
            applies=members,
            checkpoint=Checkpoint(state),
            version=version("tepi"),
            monotonic=time.monotonic,
            jitter=random.random,
        )
        await agent.restore()
    wiring = Wiring(
        clock=time.time,
        jitter=random.random,
        mutual=mutual,
        is_member=members,
        in_step=lambda: agent is None or agent.ready,
        purge_token=None if settings.purges is None else resolve(settings.purges.token),
        webhook_secret=None if settings.webhook_secret is None else resolve(settings.webhook_secret),
        pages_secret=None if settings.pages_secret is None else resolve(settings.pages_secret),
        reveal=resolve,
    )
    following = None if agent is None else asyncio.create_task(agent.run())
    try:
        async with serving(Origin(settings, plugins, plugin_settings, wiring)):
            await stop_signal()
    except CannotListen as error:
        raise AddressTaken(str(error)) from error
    except BadSecret as error:
        raise Refused([Problem("state", settings.state, str(error))]) from error
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
