from __future__ import annotations

import asyncio
import json
from pathlib import Path
from threading import Thread

import pytest
from aiohttp import web
from click.testing import CliRunner, Result

from control.cli.where import command
from geo.where import explain_where
from tests.geo.worlds import LOOKUP, fleet_with

FILE = """
zone = "shop.test"
listen = ["127.0.0.1:5300"]
[[nodes]]
name = "jakarta"
addresses = ["192.0.2.1"]
place = { city = "Jakarta", country = "ID", latitude = -6.2, longitude = 106.8 }
[[nodes]]
name = "frankfurt"
addresses = ["192.0.2.2"]
place = { city = "Frankfurt", country = "DE", latitude = 50.1, longitude = 8.7 }
"""


def run(*words: str, **environment: str) -> Result:
    clean = {"TEPI_CONTROL": None, "TEPI_TOKEN": None, "COLUMNS": "140"}
    return CliRunner().invoke(command, words, env={**clean, **environment})


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "dns.toml"
    path.write_text(FILE)
    return str(path)


def test_a_file_of_nodes_is_enough_to_say_which_and_why(file: str) -> None:
    result = run("36.66.0.1", "--config", file)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("Visitor 36.66.0.1 in 36.64.0.0/11: ID")
    assert lines[1] == "jakarta (Jakarta, ID): nearest, health not known yet"
    assert "frankfurt" in result.stdout


def test_the_same_comes_as_json(file: str) -> None:
    document = json.loads(run("85.214.132.117", "--resolver", "8.8.8.8", "--config", file, "--json").stdout)
    assert (document["node"], document["resolver"]["country"]) == ("frankfurt", "US")


def test_without_a_fleet_it_says_how_to_name_one() -> None:
    result = run("36.66.0.1")
    assert result.exit_code == 2
    assert "--control URL (or TEPI_CONTROL), or --config FILE" in result.stderr


def test_what_is_no_address_is_refused(file: str) -> None:
    result = run("shop.test", "--config", file)
    assert result.exit_code == 2
    assert "address: got 'shop.test', expected an IPv4 or IPv6 address" in result.stderr


def test_a_bad_file_is_refused_by_field(tmp_path: Path) -> None:
    path = tmp_path / "dns.toml"
    path.write_text(FILE + "capacty = 3\n")
    result = run("36.66.0.1", "--config", str(path))
    assert result.exit_code == 2
    assert "nodes.1.capacty: got 3, expected no such key; did you mean capacity?" in result.stderr


class Control:
    """A server in a thread of its own that speaks as control does."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever)
        self._thread.start()
        self.url = self._do(self._start())

    def _do(self, coroutine):  # type: ignore[no-untyped-def]
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(5)

    async def _start(self) -> str:
        app = web.Application()
        app.router.add_get("/api/v1/where", self._where)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _where(self, request: web.Request) -> web.Response:
        self.asked.append((request.query_string, request.headers.get("Authorization")))
        address = request.query["address"]
        if address == "shop.test":
            errors = [{"field": "address", "got": "shop.test", "expected": "an address"}]
            return web.json_response({"title": "Bad Request", "errors": errors}, status=400)
        resolver = request.query.get("resolver")
        return web.json_response(explain_where(address, fleet_with(), LOOKUP, resolver=resolver).document())

    def close(self) -> None:
        self._do(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def test_control_is_asked_for_the_living_fleet() -> None:
    control = Control()
    try:
        result = run("36.66.0.1", "--resolver", "8.8.8.8", TEPI_CONTROL=control.url, TEPI_TOKEN="t0ken")
        assert result.exit_code == 0, result.stderr
        assert "jakarta (Jakarta, ID): nearest" in result.stdout
        assert control.asked == [("address=36.66.0.1&resolver=8.8.8.8", "Bearer t0ken")]
        refused = run("shop.test", "--control", control.url, "--token", "t0ken")
        assert refused.exit_code == 1
        assert "address: got shop.test, expected an address" in refused.stderr
    finally:
        control.close()


def test_nobody_at_control_is_one_sentence() -> None:
    result = run("36.66.0.1", "--control", "http://127.0.0.1:1", "--token", "t0ken")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "Error: http://127.0.0.1:1/api/v1/where?address=36.66.0.1 can't be reached"
    )
