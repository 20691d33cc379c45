"""A control that is lost and restored: nodes come back, nothing is issued again, and no purge is lost."""

from __future__ import annotations

import asyncio
import shutil
import stat
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from control.backup import back_up, restore
from control.cli.control import command
from control.db.database import Database, sqlite_url
from control.db.tables import certificates, counter
from control.plane import database_of
from edge.document.problems import Refused
from tests.control.planes import Control, controlling, joined
from tests.edge.scripted import eventually, running

SHOP = {"name": "shop", "hosts": ["shop.test"], "origins": [{"url": "http://127.0.0.1:9000"}]}


@dataclass(frozen=True, slots=True)
class Kinds:
    """From which database into which: a control's setting for each."""

    before: str
    after: str


@pytest.fixture(params=["sqlite-to-postgresql", "postgresql-to-sqlite"])
def kinds(request: pytest.FixtureRequest, postgres_url: str) -> Kinds:
    return Kinds("", postgres_url) if request.param == "sqlite-to-postgresql" else Kinds(postgres_url, "")


async def key_of(control: Control) -> str:
    async with control.is_up.database.read() as connection:
        return str((await connection.execute(select(certificates.c.key))).scalar_one())


async def test_a_lost_control_is_restored_and_the_fleet_comes_back(tmp_path: Path, kinds: Kinds) -> None:
    control = Control(tmp_path / "control", settings={"database": kinds.before})
    await control.start()
    token, file = control.first_run["token"], tmp_path / "backup.tepi"
    assert (await control.ask("POST", "/sites", SHOP))[0] == 201
    jakarta, bandung = await joined(control, "jakarta"), await joined(control, "bandung")
    async with running(jakarta.agent()) as agent:
        await eventually(lambda: agent.ready)
        await control.ask("POST", "/purges", {"kind": "tag", "value": "before"})
        key, lineage = await key_of(control), (await control.is_up.journal.head()).lineage
        about = await back_up(control.is_up.database, control.directory, file, 1000.0)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert (about.lineage, about.number) == (lineage, (await control.is_up.journal.head()).number)
        # this purge is in no backup: one node has acknowledged it, the other was away
        _, order = await control.ask("POST", "/purges", {"kind": "tag", "value": "after"})
        await eventually(lambda: any(event.body.get("value") == "after" for event in jakarta.told.events))
        await control.stop()
        shutil.rmtree(control.directory)

        control.settings = {"database": kinds.after}
        control.directory.mkdir()
        restored = database_of(control.configured())
        await restore(restored, control.directory, file)
        await restored.close()
        await control.start()
        head = await control.is_up.journal.head()
        assert (head.lineage != lineage, head.number >= about.number) == (True, True)
        async with running(bandung.agent()) as other:
            for node, running_agent in ((jakarta, agent), (bandung, other)):
                await eventually(lambda one=running_agent: one.ready and one.position == head)  # type: ignore[misc]
                # a snapshot: every older entry is revalidated before its next use, whatever was purged
                assert node.told.snapshots[-1].position.lineage == head.lineage
            assert await key_of(control) == key
            for purge in (await control.ask("GET", "/purges", token=token))[1]["purges"]:
                assert purge["value"] == "before"
                _, done = await control.ask("GET", f"/purges/{purge['id']}?wait=10", token=token)
                assert {receipt["state"] for receipt in done["receipts"]} == {"applied"}
            _, order = await control.ask("POST", "/purges", {"kind": "tag", "value": "new"}, token=token)
            await eventually(lambda: any(event.body.get("value") == "new" for event in bandung.told.events))
            assert order["position"]["lineage"] == head.lineage
    await control.stop()


@pytest.fixture
async def backup(tmp_path: Path) -> Path:
    async with controlling(tmp_path / "control") as control:
        await back_up(control.is_up.database, control.directory, tmp_path / "backup.tepi", 1000.0)
    return tmp_path / "backup.tepi"


def configuration(directory: Path, state: Path) -> str:
    path = directory / "control.toml"
    path.write_text(f'state = "{state}"\n')
    return str(path)


def test_both_verbs_work_from_the_command_line(backup: Path, tmp_path: Path) -> None:
    config, again = configuration(tmp_path, tmp_path / "control"), tmp_path / "again.tepi"
    told = CliRunner().invoke(command, ["--config", config, "backup", str(again)])
    assert (told.exit_code, "The fleet's keys are in it" in told.output) == (0, True), told.output
    config = configuration(tmp_path, tmp_path / "new")
    told = CliRunner().invoke(command, ["--config", config, "restore", str(again)])
    assert (told.exit_code, "a new lineage begins" in told.output) == (0, True), told.output
    told = CliRunner().invoke(command, ["--config", config, "restore", str(again)])
    assert (told.exit_code, "expected a directory without keys" in told.output) == (2, True), told.output


async def refusal(source: Path, directory: Path) -> str:
    directory.mkdir(exist_ok=True)
    database = Database(sqlite_url(directory / "control.db"))
    try:
        with pytest.raises(Refused) as refused:
            await restore(database, directory, source)
    finally:
        await database.close()
    assert not list(directory.glob("*.key")), "no key was written"
    return str(refused.value)


async def test_nothing_is_restored_over_a_database_in_use(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    database = Database(sqlite_url(tmp_path / "used" / "control.db"))
    await database.migrate()
    async with database.write() as connection:
        await connection.execute(counter.insert().values(id=1, lineage="a", number=7))
    await database.close()
    assert "expected an empty database" in await refusal(backup, tmp_path / "used")


@pytest.mark.parametrize("cut", [0, 10, 1000, -20])
async def test_what_is_no_whole_backup_is_refused(backup: Path, tmp_path: Path, cut: int) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(await asyncio.to_thread(lambda: backup.read_bytes()[:cut]))
    assert "expected a whole backup of a control" in await refusal(broken, tmp_path / "new")


async def test_a_backup_of_a_newer_tepi_is_refused(backup: Path, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    with tarfile.open(backup) as old, tarfile.open(newer, "w:gz") as new:
        for member in old:
            content = old.extractfile(member)
            assert content is not None
            data = content.read()
            if member.name == "about.json":
                start = data.index(b'"revision": "') + len(b'"revision": "')
                data = data[:start] + b"9999" + data[start + 4 :]
            (tmp_path / "member").write_bytes(data)
            new.add(tmp_path / "member", member.name)
    assert "expected a backup of this Tepi or an older one" in await refusal(newer, tmp_path / "new")


async def test_a_state_without_keys_is_not_backed_up(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path / "control.db"))
    with pytest.raises(Refused, match="expected a control's state"):
        await back_up(database, tmp_path, tmp_path / "file", 0.0)
    await database.close()
