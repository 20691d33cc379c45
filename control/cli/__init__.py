"""The `tepi` command. Each verb lives in a module of its own, imported only when it is called."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version

import click

# verb -> module that defines `command`; the order is the order of `tepi --help`.
VERBS = {
    "up": "control.cli.up",
    "edge": "control.cli.edge",
    "control": "control.cli.control",
    "origin": "control.cli.origin",
    "dns": "control.cli.dns",
    "site": "control.cli.site",
    "node": "control.cli.node",
    "purge": "control.cli.purge",
    "explain": "control.cli.explain",
    "hooks": "control.cli.hooks",
    "where": "control.cli.where",
    "zone": "control.cli.zone",
    "p2p": "control.cli.p2p",
    "config": "control.cli.config",
    "geo": "control.cli.geo",
}


class LazyGroup(click.Group):
    """Loads a verb's module when it is needed, so that `tepi edge` starts without control's database."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = import_module(VERBS[cmd_name]).command
        assert isinstance(command, click.Command)
        return command


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    lane = "compiled" if import_module("edge.lane").COMPILED else "interpreted"
    click.echo(f"tepi {version('tepi')}, lane {lane}")
    context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Show the version, and whether the lane is compiled, and exit.",
)
def main() -> None:
    """Tepi: a CDN that a shop's operator runs himself."""
