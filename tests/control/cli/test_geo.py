from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from click.testing import CliRunner

from control.cli.geo import command
from geo.lookup import SHIPPED


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return None


def test_an_update_is_fetched_put_in_place_and_named(tmp_path: Path) -> None:
    to = tmp_path / "world.mmdb"
    handler = partial(Quiet, directory=str(SHIPPED.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        good = CliRunner().invoke(command, ["update", "--url", f"{url}/countries.mmdb", "--to", str(to)])
        bad = CliRunner().invoke(command, ["update", "--url", f"{url}/NOTICE.md", "--to", str(to)])
        server.shutdown()
        thread.join()
    assert good.exit_code == 0, good.output
    assert f"{to}: Tepi-Country of 2026-06-17, 2.5 MiB." in good.stdout
    assert f'geo_database = "{to}"' in good.stdout
    assert bad.exit_code == 1
    assert bad.stderr.endswith("Nothing was changed.\n")
    assert to.read_bytes() == SHIPPED.read_bytes()


def test_a_url_of_another_kind_is_refused() -> None:
    result = CliRunner().invoke(command, ["update", "--url", "file:///etc/passwd"])
    assert result.exit_code == 2
    assert "expected https://… or http://…" in result.stderr
