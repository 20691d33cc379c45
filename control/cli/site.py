"""`tepi site`: the fleet's storefronts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from control.cli.options import control_options
from control.cli.sitecalls import ask, of_site, site_in
from control.cli.trials import abandon, promote, trial, try_
from control.cli.versions import changes, history, restore
from edge.document.packs import Pack, bundled, read, source
from edge.document.packs import document as pack_document
from edge.document.packwords import words
from edge.document.problems import Refused


@click.group("site")
def command() -> None:
    """Adds, lists, shows, updates, closes and removes sites, and takes changes back."""


for verb in (history, changes, restore, try_, trial, promote, abandon):
    command.add_command(verb)


@command.command("add")
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="A short name; unset, the first host's.")
@click.option("--host", "hosts", multiple=True, help="A host name that it answers.")
@click.option("--origin", "origins", multiple=True, help="URL of a server that answers for it.")
@click.option(
    "--platform", help="Its shop system: a pack by name (`tepi site packs`), or a pack's TOML file."
)
@control_options
def add(
    file: Path | None, name: str | None, hosts: tuple[str, ...], origins: tuple[str, ...],
    platform: str | None, control: str | None, token: str | None,
) -> None:  # fmt: skip
    """Adds the site in FILE (TOML or JSON), or one of --host and --origin."""
    if file is not None:
        document = site_in(file)
    elif hosts and origins:
        document = {
            "name": name or hosts[0].split(".")[0].lower(),
            "hosts": list(hosts),
            "origins": [{"url": url} for url in origins],
        }
    else:
        raise click.UsageError("expected FILE, or at least one --host and one --origin")
    if platform is not None:
        if "platform" in document:
            raise click.UsageError(f"expected --platform or {file}'s own platform, not both")
        document["platform"] = _platform(platform)
    made = ask(control, token, "POST", "/sites", document)
    click.echo(f"{made['name']} is served at {', '.join(made['hosts'])}")
    _say(made)


@command.command("update")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@control_options
def update(file: Path, control: str | None, token: str | None) -> None:
    """Replaces the document of the site that FILE names."""
    document = site_in(file)
    name = document.get("name")
    if not isinstance(name, str) or not name:
        raise click.ClickException(f"{file}: name: got {name!r}, expected the name of the site to replace")
    made = ask(control, token, "PUT", of_site(name), document)
    click.echo(f"{made['name']} is updated")
    _say(made)


@command.command("packs")
@click.argument("name", required=False)
@click.option("--toml", is_flag=True, help="Print the pack's file, to make another of it.")
def packs(name: str | None, toml: bool) -> None:
    """Lists the platforms' packs that come along, or says what the one called NAME does."""
    if name is None:
        table = Table("name", "version", "platform", box=None)
        for each in bundled():
            pack = _pack(each)
            table.add_row(pack.name, str(pack.version), pack.title)
        Console().print(table)
        return
    try:
        text = source(name)
    except ValueError as error:
        raise click.ClickException(f"{name}: expected {error}") from None
    click.echo(text if toml else "\n".join(_told(_pack(name))))


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@control_options
def list_sites(as_json: bool, control: str | None, token: str | None) -> None:
    """Lists all sites."""
    sites = ask(control, token, "GET", "/sites")["sites"]
    if as_json:
        click.echo(json.dumps(sites, indent=2))
        return
    table = Table("name", "hosts", "origins", "platform", box=None)
    for site in sites:
        pack = site.get("platform")
        table.add_row(
            site["name"],
            " ".join(site["hosts"]),
            " ".join(origin["url"] for origin in site["origins"]),
            "" if pack is None else f"{pack['name']} {pack.get('version', 1)}",
        )
    Console().print(table)


@command.command("show")
@click.argument("name")
@control_options
def show(name: str, control: str | None, token: str | None) -> None:
    """Shows a site's document."""
    click.echo(json.dumps(ask(control, token, "GET", of_site(name)), indent=2))


@command.command("remove")
@click.argument("name")
@control_options
def remove(name: str, control: str | None, token: str | None) -> None:
    """Forgets a site: its hosts are not answered any more."""
    ask(control, token, "DELETE", of_site(name))
    click.echo(f"{name} is removed")


@command.command("close")
@click.argument("name")
@control_options
def close(name: str, control: str | None, token: str | None) -> None:
    """Closes a site for maintenance: 503 for everybody but its staff."""
    _switch(control, token, name, enabled=True)
    click.echo(f"{name} is closed")


@command.command("open")
@click.argument("name")
@control_options
def reopen(name: str, control: str | None, token: str | None) -> None:
    """Opens a site that was closed for maintenance."""
    _switch(control, token, name, enabled=False)
    click.echo(f"{name} is open")


def _switch(control: str | None, token: str | None, name: str, *, enabled: bool) -> None:
    document = ask(control, token, "GET", of_site(name))
    document["maintenance"] = {**(document.get("maintenance") or {}), "enabled": enabled}
    ask(control, token, "PUT", of_site(name), document)


def _platform(named: str) -> str | dict[str, Any]:
    """A pack by name, which control knows; or the operator's own, written out."""
    if not named.endswith(".toml"):
        return named
    try:
        return read(Path(named))
    except Refused as error:
        raise click.ClickException(f"{named}: {error}") from error


def _pack(name: str) -> Pack:
    return Pack.model_validate(pack_document(name))


def _say(site: dict[str, Any]) -> None:
    """What the site's platform does."""
    if site.get("platform") is not None:
        click.echo("\n".join(_told(Pack.model_validate(site["platform"]))))


def _told(pack: Pack) -> Iterator[str]:
    yield f"{pack.title} ({pack.name}, version {pack.version})"
    for sentence in words(pack):
        yield f"  {sentence}"
    for note in pack.notes:
        yield f"  Note: {note}"
    for checked in pack.checked:
        yield f"  Checked against {checked}"
