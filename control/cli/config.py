"""`tepi config check FILE`: would this file be taken? Nothing is started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, ValidationError

from control.cli.process import CONFIGURATION
from control.settings import ControlSettings
from edge.config import EdgeConfig, standalone
from edge.document.files import read_toml
from edge.document.problems import Problem, Refused, problems_of
from edge.tls import BadCertificate, KeyPair
from geo.dns.settings import DnsSettings
from geo.lookup import BadDatabase, open_database
from origin.settings import OriginSettings

PARTS: dict[str, type[BaseModel]] = {
    "edge": EdgeConfig,
    "control": ControlSettings,
    "origin": OriginSettings,
    "dns": DnsSettings,
}


@click.group("config")
def command() -> None:
    """Configuration files."""


@command.command("check")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--part", type=click.Choice(list(PARTS)), help="Whose file it is; unset, its keys tell.")
def check(file: Path, part: str | None) -> None:
    """Checks FILE whole and names every problem. Exit code 2 if there is one."""
    try:
        document = read_toml(file)
        part = part or part_of(document)
        validate(standalone(document, file.parent) if part == "edge" else document, part)
    except Refused as refused:
        for problem in refused.problems:
            click.echo(f"{file}: {problem}", err=True)
        raise SystemExit(CONFIGURATION) from None
    click.echo(f"{file}: a good configuration of tepi {part}")


def part_of(document: dict[str, Any]) -> str:
    """The part that knows most of the document's keys. Raises Refused where two know as many."""
    known = {part: len(document.keys() & model.model_fields.keys()) for part, model in PARTS.items()}
    most = max(known.values())
    found = [part for part, count in known.items() if count == most]
    if most == 0 or len(found) > 1:
        keys = ", ".join(document) or "no key"
        raise Refused([Problem("", keys, f"keys of one part only; name it with --part {'|'.join(PARTS)}")])
    return found[0]


def validate(document: dict[str, Any], part: str) -> None:
    """Raises Refused with every problem that can be seen without starting anything."""
    model = PARTS[part]
    try:
        settings = model.model_validate(document)
    except ValidationError as error:
        raise Refused(problems_of(error, model)) from None
    problems = list(_files(settings))
    if problems:
        raise Refused(problems)


def _files(settings: BaseModel) -> Iterator[Problem]:
    """What is wrong with the files that the settings name."""
    tls = getattr(settings, "tls", None)
    if tls is not None:
        try:
            KeyPair(Path(tls.cert), Path(tls.key)).context()
        except BadCertificate as error:
            yield Problem("tls", f"{tls.cert}, {tls.key}", f"a certificate and its key: {error}")
    database = getattr(settings, "geo_database", None)
    if database:
        try:
            open_database(database).close()
        except BadDatabase as error:
            yield Problem("geo_database", str(database), f"an MMDB file: {error}")
