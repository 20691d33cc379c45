"""`tepi zone`: zone files, checked and written."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click
from pydantic import ValidationError

from edge.document.files import read_toml
from edge.document.problems import Problem, Refused, problems_of
from edge.secrets import resolve
from geo.dns.contents import with_file
from geo.dns.keys import BadKey, Key, make_key, read_key
from geo.dns.names import Names
from geo.dns.settings import DnsSettings
from geo.dns.zone import BadName, NameServer, Zone, wire_name
from geo.dns.zonefile import BadZone, read_zone, write_zone


def load_zones(settings: DnsSettings, serial: int) -> tuple[Zone, ...]:
    """The zones of a name server, with what is in their files. Raises BadZone, Refused."""
    keys = load_keys(settings)
    plain = {name: replace(settings.zone_value(serial, name), keys=keys[name]) for name in settings.files()}
    return tuple(
        _with(plain[name], Path(file)) if file else plain[name] for name, file in settings.files().items()
    )


def load_keys(settings: DnsSettings) -> dict[str, tuple[Key, ...]]:
    """The keys of each zone. Raises Refused, NoSecret."""
    made: dict[str, tuple[Key, ...]] = dict.fromkeys(settings.files(), ())
    for number, one in enumerate(settings.keys):
        try:
            key = read_key(resolve(one.key), signs=one.signs, announced=one.announced)
        except BadKey as error:
            raise Refused([Problem(f"keys.{number}.key", one.key, str(error))]) from None
        if any(key.dnskey == other.dnskey for other in made[one.zone]):
            raise Refused([Problem(f"keys.{number}.key", one.key, "each key once")])
        made[one.zone] += (key,)
    return made


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


@command.command("key")
@click.argument("name")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def key(name: str, file: Path) -> None:
    """Makes FILE a new key for the zone NAME if there is none; prints the DS record for the zone above."""
    try:
        apex = wire_name(name)
        if not file.exists():
            _write(file, make_key()[1])
        ds = read_key(file.read_text(encoding="utf-8")).ds(apex)
    except (BadName, BadKey) as error:
        raise click.ClickException(f"{file}: expected {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: expected a file for a key ({error})") from error
    tag, algorithm, digest = int.from_bytes(ds[:2]), ds[2], ds[3]
    click.echo(f"{name.removesuffix('.')}. DS {tag} {algorithm} {digest} {ds[4:].hex()}")


def _write(file: Path, pem: str) -> None:
    """A file that its owner alone can read, and that is whole or not there."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(pem)
        opened.flush()
        os.fsync(descriptor)


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
    names = Names(replace(zone, keys=()), frozenset())
    records = (record for _, at in names.items() for records in at.sets.values() for record in records)
    click.echo(write_zone(zone.name, records), nl=False)
