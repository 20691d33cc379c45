from __future__ import annotations

import gzip
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from geo.lookup import SHIPPED, open_database
from geo.update import UpdateFailed, update
from tests.geo.worlds import write_database

DATABASE = SHIPPED.read_bytes()
OLD = b"the old one"


class Mirror:
    """A web server with one file."""

    def __init__(self) -> None:
        self.body = DATABASE
        self.cut_at: int | None = None
        self.status = 200
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=self.status)
        response.content_length = len(self.body)
        await response.prepare(request)
        await response.write(self.body[: self.cut_at])
        if self.cut_at is not None and request.transport is not None:
            request.transport.abort()
        return response


@pytest.fixture
async def mirror() -> AsyncIterator[Mirror]:
    made = Mirror()
    app = web.Application()
    app.router.add_get("/countries.mmdb", made.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/countries.mmdb"
    yield made
    await runner.cleanup()


def quiet(_came: int, _total: int | None) -> None:
    return None


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
async def test_a_newer_database_takes_the_old_ones_place(
    mirror: Mirror, tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    mirror.body = pack(DATABASE)
    to = tmp_path / "geo" / "world.mmdb"
    told: list[tuple[int, int | None]] = []
    made = await update(mirror.url, to, lambda came, total: told.append((came, total)))
    assert (made.path, made.kind, made.size) == (to, "Tepi-Country", len(DATABASE))
    with open_database(to) as database:
        assert database.find("36.66.0.1").country == "ID"
    assert told[0] == (0, len(mirror.body))
    assert told[-1] == (len(mirror.body), len(mirror.body))
    assert files(to.parent) == ["world.mmdb"]
    assert to.stat().st_mode & 0o777 == 0o644


async def refused(mirror: Mirror, tmp_path: Path, why: str, *, most: int = 10_000_000) -> None:
    to = tmp_path / "world.mmdb"
    to.write_bytes(OLD)
    with pytest.raises(UpdateFailed, match=why):
        await update(mirror.url, to, quiet, most=most)
    assert to.read_bytes() == OLD
    assert files(tmp_path) == ["world.mmdb"]


async def test_a_cut_connection_changes_nothing(mirror: Mirror, tmp_path: Path) -> None:
    mirror.cut_at = len(DATABASE) // 2
    await refused(mirror, tmp_path, "payload is not completed")


async def test_half_a_file_changes_nothing(mirror: Mirror, tmp_path: Path) -> None:
    mirror.body = DATABASE[: len(DATABASE) // 2]
    await refused(mirror, tmp_path, "the download: expected an MMDB file, whole")


async def test_half_a_gzip_file_changes_nothing(mirror: Mirror, tmp_path: Path) -> None:
    packed = gzip.compress(DATABASE)
    mirror.body = packed[: len(packed) // 2]
    await refused(mirror, tmp_path, "cut off")


async def test_a_damaged_gzip_file_changes_nothing(mirror: Mirror, tmp_path: Path) -> None:
    mirror.body = b"\x1f\x8b" + b"\xff" * 100
    await refused(mirror, tmp_path, "damaged")


async def test_a_file_that_is_too_large_changes_nothing(mirror: Mirror, tmp_path: Path) -> None:
    await refused(mirror, tmp_path, "larger than 1000000 octets", most=1_000_000)


async def test_a_small_file_that_unpacks_to_a_huge_one_changes_nothing(
    mirror: Mirror, tmp_path: Path
) -> None:
    mirror.body = gzip.compress(bytes(50_000_000))
    await refused(mirror, tmp_path, "larger unpacked", most=1_000_000)


async def test_an_error_page_changes_nothing(mirror: Mirror, tmp_path: Path) -> None:
    mirror.status = 404
    await refused(mirror, tmp_path, "answered 404, expected 200")


async def test_a_web_page_instead_of_a_database_changes_nothing(mirror: Mirror, tmp_path: Path) -> None:
    mirror.body = b"<html>moved</html>"
    await refused(mirror, tmp_path, "expected an MMDB file")


async def test_a_database_that_does_not_know_the_world_changes_nothing(
    mirror: Mirror, tmp_path: Path
) -> None:
    small = write_database(tmp_path / "small.mmdb", {"36.64.0.0/11": {"country_code": "ID"}})
    mirror.body = small.read_bytes()
    small.unlink()
    await refused(mirror, tmp_path, "knows 1 of 10 well-known addresses")


async def test_nobody_there_changes_nothing(mirror: Mirror, tmp_path: Path) -> None:
    mirror.url = "http://127.0.0.1:1/countries.mmdb"
    await refused(mirror, tmp_path, "Cannot connect")


async def test_a_directory_that_can_not_be_made_is_named(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UpdateFailed, match="file can't be written"):
        await update(mirror.url, tmp_path / "file" / "world.mmdb", quiet)
