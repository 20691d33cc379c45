"""The webhooks of one worker: its spool, gateway and deliveries, and what an operator may ask of them."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import secrets
import shutil
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from edge.clock import Clock
from edge.document.notation import Table
from edge.document.problems import Refused, problems_of
from edge.document.webhooks import WebhooksTable
from edge.hooks.gateway import Gateway, Settings
from edge.hooks.handover import Handover
from edge.http.message import Answer, Request
from edge.secrets import NoSecret, resolve
from edge.sites import Sites
from edge.spool import Damaged, Entry, Full, Spool, Taken, claimed
from edge.tasks import Tasks
from edge.telemetry import Gauge
from edge.upstream.contract import Upstream
from edge.webhooks.accounts import BadAccount, accounts_of
from edge.webhooks.certificates import Certificates
from edge.webhooks.record import Record, decoded
from edge.webhooks.standard import check_secret

log = logging.getLogger("tepi.edge.webhooks")

SHARE_OF_DEAD = 4  # dead letters may take a quarter of the limit
MOST_SHOWN = 200
MOST_WORKERS = 1024


class HooksBody(Table):
    """What is asked of the dead letters."""

    verb: Literal["list", "inspect", "replay", "discard"] = Field(description="What to do.")
    letters: tuple[str, ...] = Field((), strict=False, description="Which ones, as `list` calls them.")
    every: bool = Field(False, description="All of them.")


@dataclass(slots=True)
class _Place:
    """A directory that is held: what waits in it, what is dead, and how it is let go."""

    directory: Path
    live: Spool
    dead: Spool
    held: contextlib.ExitStack

    @classmethod
    def take(cls, directory: Path, limit: int) -> _Place:
        """Holds `directory` and reads what is there. Raises Taken, OSError."""
        with contextlib.ExitStack() as held:
            held.enter_context(claimed(directory))
            spools = []
            for name, most in (("live", limit), ("dead", limit // SHARE_OF_DEAD)):
                held.enter_context(claimed(directory / name))
                spools.append(Spool(directory / name, most))
                spools[-1].recover()
            return cls(directory, spools[0], spools[1], held.pop_all())

    async def leave(self) -> None:
        """Everything is written, and the directory is anybody's."""
        await self.live.close()
        await self.dead.close()
        self.held.close()


@dataclass(slots=True)
class Hooks:
    """One worker's webhooks, in the first part of `directory` that nobody holds.

    `environment` holds secrets beside the configuration's.
    """

    table: WebhooksTable
    directory: Path
    sites: Sites
    upstream: Upstream
    clock: Clock
    tasks: Tasks
    identity: str
    environment: Mapping[str, str]
    gateway: Gateway = field(init=False)
    handover: Handover = field(init=False)
    _held: _Place | None = None
    _adopted: dict[Spool, _Place] = field(default_factory=dict)

    def open(self) -> None:
        """Takes a directory and goes on with what waits there. Raises OSError, edge.secrets.NoSecret."""
        settings = self._settings(self.table)
        secret = resolve(self.table.secret)
        try:
            check_secret(secret)
        except ValueError as error:
            raise NoSecret(f"webhooks.secret ({self.table.secret}): {error}") from None
        own = self._held = _free(self.directory, self.table.limit)
        self.handover = Handover(
            dead=own.dead,
            upstream=self.upstream,
            sites=self.sites,
            clock=self.clock,
            secret=secret.split()[0],
            attempts=self.table.attempts,
            start=self.tasks.start,
            jitter=random.random,
            finished=self._let_go,
        )
        self.gateway = Gateway(
            sites=self.sites,
            spool=own.live,
            settings=settings,
            clock=self.clock,
            identity=self.identity,
            fetch=Certificates(self.clock.monotonic).fetch,
            token=lambda: secrets.token_hex(8),
            queue=lambda entry: self.handover.queue(own.live, entry),
            waiting=self.handover.waits,
        )
        self._resume(own)

    @property
    def _own(self) -> _Place:
        assert self._held is not None, "open() comes first"
        return self._held

    def check(self, table: WebhooksTable) -> None:
        """Raises NoSecret where `table` could not be taken."""
        self._settings(table)

    def configure(self, table: WebhooksTable) -> None:
        """Other accounts and limits from now on. Raises what `open` does about them."""
        self.gateway.settings = self._settings(table)
        self.handover.attempts = table.attempts
        self._own.live.limit, self._own.dead.limit = table.limit, table.limit // SHARE_OF_DEAD
        self.table = table

    def _settings(self, table: WebhooksTable) -> Settings:
        try:
            return Settings(accounts_of(table.accounts, self.environment, resolve), table.max_body)
        except BadAccount as error:
            raise NoSecret(str(error)) from None

    async def close(self) -> None:
        """Nothing is taken in any more; what waits is there for the next start."""
        places = [*self._adopted.values()]
        if self._held is not None:
            places.append(self._held)
        for place in places:
            await place.leave()

    def _resume(self, place: _Place) -> None:
        entries = list(place.live)
        self.gateway.remember(entry.key for entry in entries)
        for entry in entries:
            self.handover.queue(place.live, entry)
        if entries:
            log.info("%d webhooks wait in %s", len(entries), place.directory)

    # Another worker's, which is gone ------------------------------------------------------------

    async def adopt(self, directory: Path) -> bool:
        """Delivers what a dead worker left in `directory`, then removes it. False while somebody holds it."""
        try:
            place = _Place.take(directory, self.table.limit)
        except (Taken, OSError):
            return False
        for entry in place.dead:
            try:
                await self._own.dead.append(await place.dead.read(entry))
            except (Full, Damaged, OSError) as error:
                log.error("a dead letter in %s can't be moved: %s", directory, error)
                await place.leave()
                return False
            place.dead.finish(entry)
        self._adopted[place.live] = place
        self._resume(place)
        self._let_go(place.live)
        return True

    def look_around(self) -> None:
        """Takes over, beside other work, what workers left that nobody followed."""
        self.tasks.start(self.adopt_orphans())

    async def adopt_orphans(self) -> None:
        """Takes over every worker's directory that nobody holds."""
        for each in sorted(self.directory.iterdir()):
            if each.is_dir() and each != self._own.directory and each.name.isdigit():
                await self.adopt(each)

    def _let_go(self, spool: Spool) -> None:
        place = self._adopted.get(spool)
        if place is not None and not spool.pending:
            del self._adopted[spool]
            self.tasks.start(self._remove(place))

    async def _remove(self, place: _Place) -> None:
        await place.live.close()
        await place.dead.close()
        shutil.rmtree(place.directory)  # still held: nobody can have begun to write there
        place.held.close()

    # Requests -----------------------------------------------------------------------------------

    def before(
        self, pipeline: Callable[[Request], Awaitable[Answer]]
    ) -> Callable[[Request], Awaitable[Answer]]:
        """What answers requests: webhooks here, everything else in `pipeline`."""

        async def answer(request: Request) -> Answer:
            if "/hooks/" in request.path:
                taken = await self.gateway.answer(request)
                if taken is not None:
                    return taken
            return await pipeline(request)

        return answer

    # What an operator sees and does -------------------------------------------------------------

    def gauges(self) -> Iterator[Gauge]:
        """How much waits."""
        yield Gauge("webhooks_waiting", "Webhooks that wait for the origin.", self.waiting)
        yield Gauge("webhooks_dead", "Dead letters.", self._own.dead.pending)
        yield Gauge("webhook_spool_bytes", "Bytes of the spool.", self._own.live.size)
        yield Gauge("webhook_spool_limit_bytes", "Bytes that it may take.", self._own.live.limit)

    def counts(self) -> Iterable[Gauge]:
        """What came, and what was delivered."""
        yield from self.gateway.counts()
        yield from self.handover.counts()
        yield Gauge("webhook_spool_commits", "Writes that were synced.", self._own.live.commits)
        yield Gauge("webhook_spool_failures", "Writes that the disk refused.", self._own.live.failures)

    @property
    def waiting(self) -> int:
        """Webhooks that wait for the origin."""
        return self._own.live.pending + sum(spool.pending for spool in self._adopted)

    async def command(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Lists, shows, replays or discards dead letters. Raises ValueError."""
        try:
            body = HooksBody.model_validate(dict(document))
        except ValidationError as error:
            raise Refused(problems_of(error, HooksBody)) from None
        wanted = self._wanted(body)
        told: dict[str, Any] = {
            "waiting": self.waiting,
            "dead": self._own.dead.pending,
            "lanes": self._lanes(),
        }
        match body.verb:
            case "list":
                told["letters"] = [await self._shown(entry, whole=False) for entry in wanted[:MOST_SHOWN]]
            case "inspect":
                told["letters"] = [await self._shown(entry, whole=True) for entry in wanted[:MOST_SHOWN]]
            case "replay":
                told["replayed"] = [await self._replay(entry) for entry in wanted]
            case "discard":
                told["discarded"] = [self._discard(entry) for entry in wanted]
        return told

    def _wanted(self, body: HooksBody) -> list[Entry]:
        own = f"{self._own.directory.name}-"
        dead = {self._letter(entry): entry for entry in self._own.dead}
        if body.every or (body.verb == "list" and not body.letters):
            return list(dead.values())
        if not body.letters:
            raise ValueError(f"letters: got none, expected one of those that list shows, to {body.verb}")
        mine = [letter for letter in body.letters if letter.startswith(own)]  # others are other workers'
        unknown = [letter for letter in mine if letter not in dead]
        if unknown:
            raise ValueError(f"letters: got {unknown[0]!r}, expected one of those that list shows")
        return [dead[letter] for letter in mine]

    def _letter(self, entry: Entry) -> str:
        """What an operator calls a dead letter: where it lies."""
        return f"{self._own.directory.name}-{int(entry.segment.path.stem)}-{entry.place}"

    def _lanes(self) -> list[dict[str, Any]]:
        """Whose webhooks wait, how many, and why."""
        found = []
        for name, lane in self.handover.lanes.items():
            site, _, provider = name.decode().partition(" ")
            found.append(
                {"site": site, "provider": provider, "waiting": len(lane.waiting), "error": lane.error}
            )
        return found

    async def _shown(self, entry: Entry, *, whole: bool) -> dict[str, Any]:
        record = await self._read(entry)
        shown = {"letter": self._letter(entry), **record.known()}
        if whole:
            shown["body"] = record.body.decode("utf-8", "replace")
            with contextlib.suppress(ValueError, RecursionError):
                shown["body"] = json.loads(record.body)
        return shown

    async def _replay(self, entry: Entry) -> str:
        """Back among those that wait, then no dead letter any more."""
        record = await self._read(entry)
        fresh = Record(
            record.site, record.provider, record.event, record.id, record.at, record.body, record.hint,
            record.content_type,
        )  # fmt: skip
        try:
            queued = await self._own.live.append(fresh.encoded())
        except Full as full:
            raise ValueError(f"it can't be replayed now: {full}") from None
        self.handover.queue(self._own.live, queued)
        self._own.dead.finish(entry)
        return self._letter(entry)

    def _discard(self, entry: Entry) -> str:
        self._own.dead.finish(entry)
        return self._letter(entry)

    async def _read(self, entry: Entry) -> Record:
        try:
            return decoded(await self._own.dead.read(entry))
        except (Damaged, OSError) as error:
            raise ValueError(f"letter {self._letter(entry)} can't be read: {error}") from None


def _free(directory: Path, limit: int) -> _Place:
    """The first of the directory's parts that nobody holds: what a dead worker left, its successor takes."""
    for number in range(MOST_WORKERS):
        try:
            return _Place.take(directory / str(number), limit)
        except Taken:
            continue
    raise NoSecret(f"{directory}: {MOST_WORKERS} workers hold it already")
