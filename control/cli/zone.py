"""`tepi zone`: zone files, checked and written."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import ValidationError

from edge.document.files import read_toml
from edge.document.problems import Problem, Refused, problems_of
from geo.dns.contents import with_file
from geo.dns.names import Names
from geo.dns.settings import DnsSettings
from geo.dns.zone import NameServer, Zone
from geo.dns.zonefile import BadZone, read_zone, write_zone


def load_zones(settings: DnsSettings, serial: int) -> tuple[Zone, ...]:
    """The zones of a name server, with what is in their files. Raises BadZone, Refused."""
    return tuple(
        _with(settings.zone_value(serial, name), Path(file)) if file else settings.zone_value(serial, name)
        for name, file in settings.files().items()
    )


def _with(zone: Zone, path: Path) -> Zone:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refused([Problem("zone_file", str(path), f"a zone file that can be read ({error})")]) from error
    return with_file(zone, read_zone(text, zone.name, str(path)), str(path))


@click.group("zone")
def command() -> None:
    """Checks zone files and writes zones as files."""


@command.command("check")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(name: str, file: Path) -> None:
    """Says whether FILE can be the zone NAME, or what is wrong on which line."""
    empty = Zone(name, (NameServer("ns.invalid"),), "hostmaster.invalid")
    try:
        zone = _with(empty, file)
    except (BadZone, Refused) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{file}: {len(zone.records)} records beside SOA and NS, fit for the zone {name}")


@command.command("export")
@click.option(
    "--config", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A name server's file.",
)  # fmt: skip
@click.option("--zone", "name", help="Which of its zones; default the first.")
def export(config: Path, name: str | None) -> None:
    """Prints a zone as a file, hosts that nodes answer for left out."""
    try:
        settings = DnsSettings.model_validate(read_toml(config))
        zones = {zone.name: zone for zone in load_zones(settings, 1)}
    except ValidationError as error:
        lines = "\n".join(str(problem) for problem in problems_of(error, DnsSettings))
        raise click.ClickException(f"{config}:\n{lines}") from error
    except (BadZone, Refused) as error:
        raise click.ClickException(str(error)) from error
    zone = zones.get(name or settings.zone)
    if zone is None:
        raise click.BadParameter(f"got {name}, expected one of {', '.join(zones)}", param_hint="--zone")
    names = Names(zone, frozenset())
    records = (record for _, at in names.items() for records in at.sets.values() for record in records)
    click.echo(write_zone(zone.name, records), nl=False)
