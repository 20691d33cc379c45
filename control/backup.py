"""A whole control in one file, from either kind of database into either kind: rows, keys, and when it was.

The file is a compressed tar: `about.json`, the fleet's keys, and a file of JSON lines for each table. What a
running control makes anew is left out: sessions, what other controls hear, figures of single seconds.
"""

from __future__ import annotations

import gzip
import io
import json
import secrets
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, Table, insert, inspect, null, select, update

from control.db.database import Database
from edge.document.problems import Problem, Refused
from edge.identity import write_private

FORMAT = 1
ABOUT = "about.json"
LEFT_OUT = ("sessions", "presence", "errands", "alembic_version")
KEYS = ("authority.key", "authority.pem", "journal.key")  # what every control of a fleet has in its state
ROWS = 500  # in one statement


@dataclass(frozen=True, slots=True)
class About:
    """What a backup says of itself. `number` is the journal's last then; `at` is in seconds since 1970."""

    revision: str
    at: float
    lineage: str
    number: int
    rows: int


async def back_up(database: Database, directory: Path, target: Path, now: float) -> About:
    """Writes everything to `target`, as of one moment; control may run meanwhile. Raises Refused, OSError."""
    missing = [name for name in KEYS if not (directory / name).exists()]
    if missing:
        raise Refused([Problem("state", f"{directory} without {', '.join(missing)}", "a control's state")])
    async with database.moment() as statements:
        tables, revision = await statements.look(_schema)
        files: dict[str, bytes] = {}
        rows = 0
        for table in tables:
            query = select(table)
            if table.name == "samples":
                query = query.where(table.c.resolution != "second")
            found = [dict(row._mapping) for row in await statements.execute(query)]
            rows += len(found)
            files[f"tables/{table.name}.jsonl"] = "".join(json.dumps(row) + "\n" for row in found).encode()
        counter = json.loads(files["tables/counter.jsonl"])
    about = About(revision, now, counter["lineage"], counter["number"], rows)
    told = {"format": FORMAT, **{name: getattr(about, name) for name in About.__slots__}}
    files = {ABOUT: json.dumps(told, indent=2).encode(), **files}
    files |= {f"keys/{name}": (directory / name).read_bytes() for name in KEYS}
    write_private(target, _packed(files, now))
    return about


async def restore(database: Database, directory: Path, source: Path) -> About:
    """Brings what `source` holds into an empty database and state directory, and begins a new lineage.

    Every node takes a snapshot then and revalidates what it had stored, so that no purge is lost that was
    acknowledged after the backup. Raises Refused, OSError; then no row and no key is there.
    """
    files = _unpacked(source)
    about = _about(files)
    await _refuse_if_used(database, directory)
    try:
        await database.migrate(about.revision)
    except CommandError as error:
        wanted = "a backup of this Tepi or an older one"
        raise Refused([Problem(str(source), f"revision {about.revision}", wanted)]) from error
    async with database.write() as statements:
        tables, _ = await statements.look(_schema)
        for table in tables:
            for rows in _in_parts(files.get(f"tables/{table.name}.jsonl", b"")):
                await statements.execute(insert(table).values(rows))
            if table.name == "counter":
                await statements.execute(update(table).values(lineage=secrets.token_hex(8)))
    await database.migrate()
    for name in KEYS:
        write_private(directory / name, files[f"keys/{name}"])
    return about


async def _refuse_if_used(database: Database, directory: Path) -> None:
    there = [name for name in KEYS if (directory / name).exists()]
    if there:
        raise Refused([Problem("state", f"{directory} with {', '.join(there)}", "a directory without keys")])
    async with database.read() as statements:
        tables, _ = await statements.look(_schema)
        for table in tables:
            if (await statements.execute(select(table).limit(1))).first() is not None:
                raise Refused([Problem("database", f"rows in {table.name}", "an empty database")])


def _schema(connection: Connection) -> tuple[list[Table], str]:
    """The tables as they are, parents before children, and the revision that made them."""
    metadata = MetaData()
    metadata.reflect(connection, only=[n for n in inspect(connection).get_table_names() if n not in LEFT_OUT])
    revision = MigrationContext.configure(connection).get_current_revision() or ""
    return list(metadata.sorted_tables), revision


def _packed(files: dict[str, bytes], now: float) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o600, int(now)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def _unpacked(source: Path) -> dict[str, bytes]:
    """What is in the file, by name; nothing is written anywhere. Raises Refused, OSError."""
    files: dict[str, bytes] = {}
    try:
        whole = gzip.decompress(source.read_bytes())  # to its check sum
        with tarfile.open(fileobj=io.BytesIO(whole), mode="r:") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    files[member.name] = content.read()
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise Refused([Problem(str(source), str(error), "a whole backup of a control")]) from error
    wanted = {ABOUT, "tables/counter.jsonl", *(f"keys/{name}" for name in KEYS)}
    if not wanted <= files.keys():
        missing = ", ".join(sorted(wanted - files.keys()))
        raise Refused([Problem(str(source), f"nothing called {missing}", "a whole backup of a control")])
    return files


def _about(files: dict[str, bytes]) -> About:
    try:
        told = json.loads(files[ABOUT])
        known = told.pop("format") == FORMAT
        about = About(**told)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Refused([Problem(ABOUT, str(error), "what a backup says of itself")]) from error
    if not known:
        raise Refused([Problem(ABOUT, "a format of a newer Tepi", f"format {FORMAT}")])
    return about


def _in_parts(lines: bytes) -> Iterator[list[dict[str, Any]]]:
    rows = [
        {name: null() if value is None else value for name, value in json.loads(line).items()}
        for line in lines.splitlines()
    ]
    for start in range(0, len(rows), ROWS):
        yield rows[start : start + ROWS]
