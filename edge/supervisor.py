"""A node of several workers: opens the sockets, starts the workers, and keeps their places taken."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace

from edge.admin import open_admin
from edge.berth import Seat
from edge.config import EdgeConfig
from edge.document.notation import Address
from edge.guard.clients import KEY, make
from edge.listeners import PARTING, Wanted
from edge.running import check, wanted
from edge.store.opening import open_store
from edge.tasks import Tasks
from edge.wiring import SystemClock, agent_of, certificates_from, identity_of, keys_of
from edge.workers.channel import Closed
from edge.workers.crew import Crew, Member
from edge.workers.line import Line, patiently
from edge.workers.orders import (
    Abandon,
    Begin,
    Commit,
    Drain,
    Judged,
    Leaving,
    Listening,
    LogTurn,
    Open,
    Prepare,
    StandIn,
    StepBack,
    Strike,
)
from edge.workers.rooms import own_directory
from edge.workers.sockets import Sockets
from geo.lookup import open_database

log = logging.getLogger("tepi.edge.supervisor")

STARTING = 30.0  # seconds that a worker has to build itself
CHANGING = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.25, 10.0  # before a place that is lost again and again is taken again
LIVED = 10.0  # whoever lived so long did not die of being started
OVERDUE = 3.0  # beyond drain_seconds

Command = Sequence[str]  # starts a worker; the number of its channel is put behind


@dataclass(slots=True, eq=False)
class Place:
    """A worker's place, and who has it: a process, and the line to it."""

    index: int
    process: asyncio.subprocess.Process
    line: Line
    left: asyncio.Event = field(default_factory=asyncio.Event)  # it lets nobody in any more, or is gone
    member: Member | None = None

    def end(self, why: str) -> None:
        """Ends the process at once."""
        log.error("worker %d (process %d) %s: it is ended", self.index, self.process.pid, why)
        self.kill()

    def kill(self) -> None:
        """Ends the process, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.line.close()


@dataclass(slots=True)
class Supervisor:
    """Starts workers and keeps their places taken."""

    config: EdgeConfig
    command: Command
    seat: Seat
    crew: Crew
    sockets: Sockets
    tasks: Tasks
    log_turn: int
    places: set[Place] = field(default_factory=set)
    absent: dict[int, Member | None] = field(default_factory=dict)  # places that nobody has; who stands in
    admin: Address | None = None  # once it listens

    async def start(self) -> None:
        """Returns once every place has been taken, or tried."""
        tried = [asyncio.Event() for _ in range(self.seat.count)]
        self.absent |= dict.fromkeys(range(self.seat.count))
        for index, event in enumerate(tried):
            self.tasks.start(self._keep(index, event))
        for event in tried:
            await event.wait()

    async def take(self, config: EdgeConfig) -> None:
        """`config` from now on, in all workers or in none. Raises AddressTaken, ValueError, OSError."""
        check(config)
        async with self.crew.turn:
            added = self.sockets.add(wanted(config))
            try:
                for member in self.crew.members:
                    self._hand_over(member.line, member.index, added)
                await self.crew.everyone(Prepare(config), CHANGING)
            except ValueError:
                await self.crew.everyone(Abandon())
                self.sockets.keep(wanted(self.config))
                raise
            for member, told in await self.crew.writing(Commit(), CHANGING):
                if isinstance(told, ValueError):
                    member.end(f"did not take the configuration ({told})")
            self.config = config
            self.sockets.keep(wanted(config))
            for index in self.absent:
                self._step_back(index)
            self._stand_in()

    def addresses(self) -> list[tuple[str, Address]]:
        """Scheme and address of each listener, a port that was 0 as the one it became."""
        return self.sockets.addresses()

    async def stop(self) -> None:
        """Has every worker finish what is under way, and end."""
        self.crew.draining.set()
        self.sockets.close()
        for place in self.places:
            with contextlib.suppress(Closed):
                place.line.tell(Drain())
        waiting = [asyncio.ensure_future(place.process.wait()) for place in self.places]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=self.config.drain_seconds + PARTING + OVERDUE)
            for place in self.places:
                if place.process.returncode is None:
                    place.end("did not end in time")
            await asyncio.gather(*late)

    # The steps ------------------------------------------------------------------------------------

    async def _keep(self, index: int, tried: asyncio.Event) -> None:
        """Keeps one place taken until the node ends."""
        pause = 0.0
        while not self.crew.draining.is_set():
            began = time.monotonic()
            try:
                place = await self._spawn(index)
            except OSError as error:
                log.error("worker %d can't be started: %s", index, error)
            else:
                await self._join(place)
                tried.set()
                await place.left.wait()
            tried.set()
            if self.crew.draining.is_set():
                return
            self.crew.restarts += 1
            self.absent[index] = None
            self._stand_in()
            lived = time.monotonic() - began
            pause = 0.0 if lived > LIVED else min(LONGEST_PAUSE, max(FIRST_PAUSE, pause * 2))
            await asyncio.sleep(pause)

    async def _spawn(self, index: int) -> Place:
        """Starts a process. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *self.command,
                    str(theirs.fileno()),
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,  # a terminal's Ctrl-C is for the supervisor alone
                )
        except OSError:
            ours.close()
            raise

        async def obey(order: Leaving | Strike | Judged, _: int | None) -> object:
            if isinstance(order, Leaving):
                place.left.set()
            elif place.member is not None:
                await self.crew.obey(place.member, order)
            return None

        place = Place(index, process, Line(ours, obey, lambda: place.left.set()))
        self.places.add(place)
        self.tasks.start(self._watch(place))
        return place

    async def _watch(self, place: Place) -> None:
        """Sees a process end."""
        code = await place.process.wait()
        place.line.close()
        place.left.set()
        self.places.discard(place)
        if place.member is not None:
            self.crew.leave(place.member)
        if not self.crew.draining.is_set():
            log.warning("worker %d (process %d) ended with %d", place.index, place.process.pid, code)

    async def _join(self, place: Place) -> None:
        """Brings a worker up to the node's state, and lets visitors in to it."""
        line = place.line
        async with self.crew.turn:
            if self.crew.draining.is_set():
                place.kill()
                return
            state = self.crew.state
            begin = Begin(
                self.config,
                replace(self.seat, index=place.index),
                None if state is None else state.snapshot(),
                not self.crew.missed,
                self.crew.ready(),
                tuple(self.crew.down),
            )
            try:
                line.tell(LogTurn(), self.log_turn)
                await self._obeyed(place, begin, STARTING)
                self.crew.missed = False
                self._hand_over(line, place.index, wanted(self.config))
                place.member = Member(place.index, line, place.end)
                self.crew.members.append(place.member)
                await self._obeyed(place, Open(), CHANGING)
                self._step_back(place.index)
                del self.absent[place.index]
                self._stand_in()
            except (ValueError, TimeoutError, Closed) as error:
                if not self.crew.draining.is_set():
                    place.end(f"could not begin ({error or 'no answer in time'})")
                if place.member is not None:
                    self.crew.leave(place.member)
                return
        log.info("worker %d (process %d) answers", place.index, place.process.pid)

    def _stand_in(self) -> None:
        """Has another worker answer who came to a place that nobody has."""
        there = [member for member in self.crew.members if member.index not in self.absent]
        for index, member in self.absent.items():
            if there and member not in there:
                self.absent[index] = chosen = there[index % len(there)]
                for each, bound in self.sockets.of(index).items():
                    chosen.line.tell(StandIn(index, each), bound.fileno())

    def _step_back(self, index: int) -> None:
        member, self.absent[index] = self.absent.get(index), None
        if member is not None:
            member.line.tell(StepBack(index))

    async def _obeyed(self, place: Place, order: object, seconds: float) -> None:
        reply = place.line.call(order)
        if not await patiently(reply, seconds):
            reply.cancel()
            raise TimeoutError
        reply.result()

    def _hand_over(self, line: Line, index: int, those: Iterable[Wanted]) -> None:
        """Gives a worker its listening sockets."""
        own = self.sockets.of(index)
        for each in those:
            line.tell(Listening(each), own[each].fileno())


@contextlib.asynccontextmanager
async def supervised(config: EdgeConfig, workers: int, command: Command) -> AsyncIterator[Supervisor]:
    """A node of several workers that listens within this context, and ends gracefully with it."""
    check(config)
    with open_database(config.geo_database):
        pass  # what is wrong with it is better said once, and here
    identity = await identity_of(config)
    async with contextlib.AsyncExitStack() as stack:
        directory = stack.enter_context(own_directory(config.store))
        log_turn = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # the stack does
        seat, tasks = Seat(0, workers, str(directory)), Tasks()
        make(seat.memory_of_clients, seat.count, secrets.token_bytes(KEY))
        crew, sockets = Crew(tasks=tasks), Sockets(seat.count)
        stack.callback(sockets.close)
        open_store(config.store, SystemClock(), seat.crew).close()  # what is wrong is said once, and here
        sockets.add(wanted(config))
        node = Supervisor(config, command, seat, crew, sockets, tasks, log_turn.fileno())
        stack.push_async_callback(tasks.end)
        if identity is not None and config.control is not None:
            crew.keys = keys_of(config)
            crew.fetch_certificate = certificates_from(config.control.url, identity)
            agent = agent_of(config, identity, crew, SystemClock())
            crew.in_step = lambda: agent.ready
            await agent.restore(kept=bool(config.store.directory))
            tasks.start(agent.run())
        stack.push_async_callback(node.stop)
        node.admin = await open_admin(crew, config.admin, stack)
        await node.start()
        tasks.start(crew.ping_forever())
        for scheme, address in sockets.addresses():
            log.info("listening on %s://%s", scheme, address)
        yield node
