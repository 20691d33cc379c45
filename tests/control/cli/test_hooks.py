"""`tepi hooks` against a node that has dead letters."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from control.cli import main
from tests.edge.hooked import Notes, event, hooked, send
from tests.edge.wires import eventually


async def run(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, ["hooks", *words])


async def test_letters_are_listed_shown_sent_again_and_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = {"evt_1", "evt_2"}
    notes = Notes(status=lambda id: 422 if id in refused else 200)
    monkeypatch.setenv("COLUMNS", "200")
    async with hooked(tmp_path, notes) as (edge, _):
        monkeypatch.setenv("TEPI_NODE", edge.admin)
        for number in (1, 2):
            await send(edge, event(number))
        hooks = edge.running.hooks
        assert hooks is not None
        await eventually(lambda: not hooks.waiting)
        listed = await run("list")
        assert "0 waiting, 2 dead letters" in listed.output
        assert "the origin answered 422" in listed.output
        assert '"object": "event"' in (await run("inspect", "--all")).output
        letter = next(line.split()[0] for line in listed.output.splitlines() if "evt_1" in line)
        refused.clear()
        assert (await run("replay", letter)).output == "1 replayed\n"
        await eventually(lambda: notes.ids == ["evt_1"])
        assert (await run("discard", "--all")).output == "1 discarded\n"
        assert "0 dead letters" in (await run("list")).output
        assert (await run("replay", "0-9-9")).exit_code != 0
        assert "say --all" in (await run("discard")).output
