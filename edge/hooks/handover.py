"""From the spool to the commerce origin: at least once, in order for each provider, as long as it takes."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from edge.clock import Clock
from edge.hooks.gateway import PLACE
from edge.http.forwarding import towards_commerce
from edge.http.message import Answer, Fields, Request
from edge.ruling import host_of
from edge.sites import Sites
from edge.spool import Damaged, Entry, Full, Spool
from edge.telemetry import Gauge
from edge.upstream.collapse import close
from edge.upstream.contract import Upstream, UpstreamError
from edge.webhooks.record import Record, decoded
from edge.webhooks.standard import sign

log = logging.getLogger("tepi.edge.webhooks")

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
LONGEST_WISH = 600.0  # of a Retry-After
ANSWER_SECONDS = 30.0
SHOWN = 500  # bytes of an origin's refusal that are kept
# The origin understood and will not take it; what a secret, a clock or a certificate can mend is not here.
NEVER = frozenset({400, 404, 405, 406, 409, 410, 411, 413, 414, 415, 422, 431, 501})
# It speaks of the origin's state, not of this webhook: no number of these makes a dead letter.
AWAY = frozenset({401, 403, 407, 408, 421, 425, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Delivered:
    """The origin has it."""


@dataclass(frozen=True, slots=True)
class Never:
    """It will not be taken, however often it comes."""

    error: str


@dataclass(frozen=True, slots=True)
class Later:
    """Not this time. `held_against` it: the origin failed over this one."""

    error: str
    held_against: bool
    wish: float | None = None  # seconds that the origin asks for


@dataclass(frozen=True, slots=True)
class Lost:
    """The disk does not give it back any more."""

    error: str


Result = Delivered | Never | Later | Lost


def judged(status: int, said: str, retry_after: str | None) -> Result:
    """What an origin's answer means for a webhook."""
    if 200 <= status < 300:
        return Delivered()
    error = f"the origin answered {status}: {said}" if said else f"the origin answered {status}"
    if status in NEVER:
        return Never(error)
    wish = float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
    return Later(error, held_against=status not in AWAY, wish=wish)


def pause(attempt: int, wish: float | None, jitter: float) -> float:
    """Seconds until the next try, `attempt` counted from 1, `jitter` 0 to 1."""
    grown: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempt - 1, 20)) * (0.5 + jitter)
    return grown if wish is None else max(grown, min(wish, LONGEST_WISH))


@dataclass(slots=True, eq=False)
class Waiting:
    """An entry, and the spool that it is in."""

    spool: Spool
    entry: Entry
    under_way: bool = False


@dataclass(slots=True)
class Lane:
    """What one provider has sent to one site, in order."""

    waiting: deque[Waiting] = field(default_factory=deque)
    running: bool = False
    error: str = ""  # why its first was not taken yet


@dataclass(slots=True)
class Handover:
    """Delivers entries. `start` runs a task of the node's; `jitter` gives 0 to 1."""

    dead: Spool
    upstream: Upstream
    sites: Sites
    clock: Clock
    secret: str
    attempts: int
    start: Callable[[Coroutine[Any, Any, None]], None]
    jitter: Callable[[], float]
    finished: Callable[[Spool], None] = lambda spool: None  # told after each entry
    counted: Counter[tuple[str, str]] = field(default_factory=Counter)
    lanes: dict[bytes, Lane] = field(default_factory=dict)
    _keys: dict[bytes, Waiting] = field(default_factory=dict)

    def queue(self, spool: Spool, entry: Entry) -> None:
        """`entry` of `spool` is to be delivered, after those of its provider that came before."""
        name = entry.key.rpartition(b" ")[0]
        lane = self.lanes.setdefault(name, Lane())
        waiting = Waiting(spool, entry)
        lane.waiting.append(waiting)
        self._keys[entry.key] = waiting
        if not lane.running:
            lane.running = True
            self.start(self._drain(name, lane))

    def waits(self, key: bytes) -> bool:
        """Whether an event is here that nobody has begun to deliver."""
        waiting = self._keys.get(key)
        return waiting is not None and not waiting.under_way

    def counts(self) -> Iterable[Gauge]:
        """Deliveries by provider and result."""
        for (provider, result), count in self.counted.items():
            labels = {"provider": provider, "result": result}
            yield Gauge("webhook_deliveries", "Deliveries to the origin, by result.", count, labels)

    # The steps ----------------------------------------------------------------------------------

    async def _drain(self, name: bytes, lane: Lane) -> None:
        attempt, held = 0, 0
        try:
            while lane.waiting:
                waiting = lane.waiting[0]
                waiting.under_way = True
                attempt += 1
                result = await self._once(waiting, attempt)
                match result:
                    case Delivered():
                        word = "delivered"
                    case Never(error):
                        word = "dead" if await self._bury(waiting, held + 1, error) else "later"
                    case Lost():
                        word = "lost"
                    case Later(error, held_against):
                        held += held_against
                        gone = held >= self.attempts and await self._bury(waiting, held, error)
                        word = "dead" if gone else "later"
                    case unreachable:
                        assert_never(unreachable)
                self.counted[name.rpartition(b" ")[2].decode(), word] += 1
                if word == "later":
                    assert not isinstance(result, Delivered)
                    lane.error = result.error
                    wish = result.wish if isinstance(result, Later) else None
                    await asyncio.sleep(pause(attempt, wish, self.jitter()))
                    continue
                attempt, held, lane.error = 0, 0, ""
                self._done(lane, waiting)
        finally:
            lane.running = False
        self.lanes.pop(name, None)

    def _done(self, lane: Lane, waiting: Waiting) -> None:
        lane.waiting.popleft()
        if self._keys.get(waiting.entry.key) is waiting:
            del self._keys[waiting.entry.key]
        waiting.spool.finish(waiting.entry)
        self.finished(waiting.spool)

    async def _once(self, waiting: Waiting, attempt: int) -> Result:
        try:
            record = decoded(await waiting.spool.read(waiting.entry))
        except (Damaged, ValueError, KeyError) as error:
            log.error("a webhook of %s can't be read any more: %s", waiting.entry.key.decode(), error)
            return Lost(str(error))
        except OSError as error:
            return Later(f"the spool can't be read: {error.strerror}", held_against=False)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                result = await self._ask(record)
        except UpstreamError as error:
            result = Later(str(error), held_against=False)
        except TimeoutError:
            result = Later(f"no answer within {ANSWER_SECONDS:g} s", held_against=True)
        if not isinstance(result, Delivered):
            told = log.warning if attempt in (1, 10) or isinstance(result, Never) else log.debug
            told(
                "webhook %s of %s is not taken (try %d): %s",
                record.id,
                record.provider,
                attempt,
                result.error,
            )
        return result

    async def _ask(self, record: Record) -> Result:
        served = self.sites.named(record.site)
        if served is None or served.commerce is None:
            return Later(f"site {record.site} has no commerce origin now", held_against=False)
        answer = await self.upstream.fetch(record.site, self._request(record, served.commerce.prefix))
        said = await _beginning(answer)
        return judged(answer.status, said, answer.fields.get("retry-after"))

    def _request(self, record: Record, prefix: str) -> Request:
        site = self.sites.named(record.site)
        host = (host_of(site.hosts) if site else None) or record.site
        now = int(self.clock.wall())
        fields = Fields(
            [
                ("Host", host),
                ("Content-Type", record.content_type),
                ("User-Agent", "tepi"),
                ("webhook-id", record.id),
                ("webhook-timestamp", str(now)),
                ("webhook-signature", sign(self.secret, record.id, now, record.body)),
            ]
        )
        path = f"{prefix}{PLACE}{record.provider}"
        request = Request("POST", "https", host, path, None, fields, body=record.body, id=record.id[:64])
        return towards_commerce(request, record.site)

    async def _bury(self, waiting: Waiting, attempts: int, error: str) -> bool:
        """Among the dead letters, durably; where there is no room it waits."""
        try:
            record = decoded(await waiting.spool.read(waiting.entry))
            await self.dead.append(replace(record, attempts=attempts, error=error[:SHOWN]).encoded())
        except (Full, Damaged, OSError) as problem:
            log.error("a webhook of %s can't be laid aside: %s", waiting.entry.key.decode(), problem)
            return False
        log.error("webhook %s of %s is a dead letter: %s", record.id, record.provider, error)
        return True


async def _beginning(answer: Answer) -> str:
    """The first of what an origin says, the rest let go."""
    body = answer.body
    if isinstance(body, bytes):
        found = body
    else:
        found = b""
        try:
            async for piece in body:
                found += piece
                if len(found) > SHOWN:
                    break
        finally:
            await close(body)
    return " ".join(found[:SHOWN].decode("utf-8", "replace").split())
