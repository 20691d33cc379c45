"""Fetches a newer database and puts it in the old one's place, or leaves that alone."""

from __future__ import annotations

import asyncio
import os
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import aiohttp

from geo.lookup import BadDatabase, open_database

# A public mirror of the data package of which the shipped database is made.
DEFAULT_URL = (
    "https://cdn.jsdelivr.net/npm/@ip-location-db/geo-whois-asn-country-mmdb/geo-whois-asn-country.mmdb"
)
MOST_BYTES = 512 * 2**20  # the largest city databases have about a quarter of this
CHUNK = 256 * 2**10
GZIP_MAGIC = b"\x1f\x8b"
TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=20, sock_read=60)

# Long-lived addresses of every registry's region; a database for the world knows most of them.
KNOWN = (
    "8.8.8.8", "36.66.0.1", "133.11.0.1", "193.0.6.139", "129.132.1.1", "200.160.2.3", "196.216.2.1",
    "203.119.101.61", "2001:4860:4860::8888", "2001:67c:2e8::1",
)  # fmt: skip

Progress = Callable[[int, int | None], None]


class UpdateFailed(Exception):
    """No newer database was put in place; the text says why. The old one is as it was."""


@dataclass(frozen=True, slots=True)
class Update:
    """What was put in place: `built` is when the database was made, in seconds since 1970."""

    path: Path
    size: int
    kind: str
    built: int


async def update(url: str, to: Path, progress: Progress, *, most: int = MOST_BYTES) -> Update:
    """Downloads `url`, plain or gzip, proves that it answers, and renames it to `to`.

    `progress` hears how many octets have come, of how many if that is known. Neither what is
    downloaded nor what is unpacked may have more than `most` octets. Raises UpdateFailed.
    """
    partial = _partial_beside(to)
    try:
        with partial.open("wb") as file:
            await _download(url, file, progress, most)
            file.flush()
            os.fsync(file.fileno())
        return await asyncio.to_thread(_put_in_place, partial, to)
    except OSError as error:
        raise UpdateFailed(f"{to} can't be written: {error.strerror or error}") from error
    finally:
        await asyncio.to_thread(partial.unlink, missing_ok=True)


def _partial_beside(to: Path) -> Path:
    """A new file in the directory of `to`, so that a rename can put it in place."""
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{to.name}.", suffix=".partial", dir=to.parent)
    except OSError as error:
        raise UpdateFailed(f"{to.parent} can't be written: {error.strerror or error}") from error
    os.close(descriptor)
    return Path(name)


def _put_in_place(partial: Path, to: Path) -> Update:
    made = _proven(partial, to)
    partial.chmod(to.stat().st_mode & 0o777 if to.exists() else 0o644)
    partial.replace(to)
    _sync_directory(to.parent)
    return made


async def _download(url: str, file: BinaryIO, progress: Progress, most: int) -> None:
    try:
        async with (
            aiohttp.ClientSession(timeout=TIMEOUT, trust_env=True) as session,
            session.get(url, headers={"Accept-Encoding": "identity"}) as response,
        ):
            if response.status != 200:
                raise UpdateFailed(f"{url} answered {response.status}, expected 200")
            await _store(response, _Unpacker(file, most), progress, most)
    except (aiohttp.ClientError, TimeoutError) as error:
        raise UpdateFailed(f"{url}: {str(error) or type(error).__name__}") from error


async def _store(
    response: aiohttp.ClientResponse, unpacker: _Unpacker, progress: Progress, most: int
) -> None:
    total = response.content_length
    came = 0
    progress(0, total)
    async for chunk in response.content.iter_chunked(CHUNK):
        came += len(chunk)
        if came > most:
            raise UpdateFailed(f"the download is larger than {most} octets, the most that is accepted")
        unpacker.take(chunk)
        progress(came, total)
    unpacker.end()


class _Unpacker:
    """Writes what it is given to a file, gunzipped if it starts like gzip, and never more than `most`."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._left = most
        self._head = b""
        self._decided = False
        self._gzip: zlib._Decompress | None = None

    def take(self, chunk: bytes) -> None:
        if not self._decided:
            self._head += chunk
            if len(self._head) < len(GZIP_MAGIC):
                return
            self._decided = True
            if self._head.startswith(GZIP_MAGIC):
                self._gzip = zlib.decompressobj(31)
            chunk, self._head = self._head, b""
        self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        if self._gzip is not None:
            try:
                chunk = self._gzip.decompress(chunk, self._left + 1)
            except zlib.error as error:
                raise UpdateFailed(f"the download is damaged: {error}") from error
        if len(chunk) > self._left:
            raise UpdateFailed("the database is larger unpacked than what is accepted")
        self._left -= len(chunk)
        self._file.write(chunk)

    def end(self) -> None:
        """All came. A gzip file that is cut off is found here."""
        if self._gzip is not None and not self._gzip.eof:
            raise UpdateFailed("the download is cut off: its gzip stream has no end")


def _proven(partial: Path, to: Path) -> Update:
    """Opens the new file and asks it of addresses that a database for the world knows."""
    try:
        with open_database(partial) as database:
            known = [one for one in map(database.find, KNOWN) if one.latitude is not None]
            if len(known) * 2 < len(KNOWN):
                raise UpdateFailed(
                    f"the download knows {len(known)} of {len(KNOWN)} well-known addresses, expected most"
                )
            return Update(to, partial.stat().st_size, database.kind, database.built)
    except BadDatabase as error:
        text = str(error).replace(str(partial), "the download")
        raise UpdateFailed(text) from error


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
