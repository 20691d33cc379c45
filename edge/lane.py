"""The short way for hits: it replays memos of the pipeline's answers.

The lane never decides. A memo is an answer that the pipeline made, the conditions under which it made it and
the moment until which they hold (edge.memo makes them). The lane replays it, with the age of the moment, or
steps aside and leaves every byte to the ordinary parser. What it takes is a strict subset of HTTP/1.1.

This is Python that Cython compiles as it stands; where it is not compiled, it runs as Python.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

import cython

from edge.access_log import AccessLog, Mould
from edge.guard.gate import Gate
from edge.http.message import NO_FIELDS, Fields
from edge.http.recording import Condition
from edge.http.subset import strict_fields
from edge.series import Series
from edge.sites import Served
from edge.store.eviction import Slot
from edge.store.memory import MemoryStore

MEMOS = 65_536
PROFILES = 2_048  # of one generation; two are kept
VARIANTS = 8  # memos of one request line
JOINED = 64 * 1024  # bytes of a body that is written together with its head

Place = tuple[str | None, int | None]  # country and network (ASN)
Pieces = tuple[bytes, bytes, bytes, bytes]


@cython.cclass
class Conditions:
    """What must hold of a request's fields. One object for all memos with the same ones."""

    items: tuple[Condition, ...]

    def __init__(self, items: tuple[Condition, ...]) -> None:
        self.items = items

    def hold(self, fields: Fields) -> bool:
        """Whether the answers are the same for `fields`."""
        return all(question.of(fields) == answer for question, answer in self.items)


@cython.cclass
class Memo:
    """One answer. Its head is cut in four where Age, the lifetime left and the request's id stand."""

    conditions: Conditions
    slot: Slot
    served: Served
    series: Series
    mould: Mould | None  # what the access log says of it
    place: Place | None  # of the visitors that it is for; None: of all
    body: bytes
    expires: cython.double  # monotonic
    _born: cython.double
    _age: cython.long
    _ttl: cython.long
    _before: bytes
    _between: bytes
    _after: bytes
    _tail: bytes
    _head: bytes

    def __init__(
        self,
        conditions: Conditions,
        slot: Slot,
        served: Served,
        pieces: Pieces,
        body: bytes,
        born: float,
        expires: float,
        series: Series,
        mould: Mould | None,
        place: Place | None,
    ) -> None:
        self.conditions = conditions
        self.slot = slot
        self.served = served
        self.series = series
        self.mould = mould
        self.place = place
        self.body = body
        self.expires = expires
        self._born = born
        self._before, self._between, self._after, self._tail = pieces
        self._age = self._ttl = -1
        self._head = b""

    @cython.ccall
    def head(self, now: cython.double, named: str) -> bytes:
        """The head of the answer to the request called `named`, at the moment `now`."""
        age: cython.long = int(now - self._born)
        ttl: cython.long = int(self.expires - now)
        if age != self._age or ttl != self._ttl:
            self._head = b"%b%d%b%d%b" % (self._before, age, self._between, ttl, self._after)
            self._age = age
            self._ttl = ttl
        return self._head + named.encode() + self._tail

    def forget(self) -> None:
        """Be used no more: the entry has left the store, or is not what it would answer with."""
        self.expires = 0.0
        self.body = b""

    @property
    def alive(self) -> bool:
        """Whether it may ever be used again."""
        return self.expires > 0.0 and self.served.current


@cython.cclass
class Table:
    """The memos of one host by request line, in two generations."""

    young: dict[bytes, list[Memo]]
    old: dict[bytes, list[Memo]]

    def __init__(self) -> None:
        self.young = {}
        self.old = {}

    @cython.ccall
    def find(self, line: bytes) -> list[Memo] | None:
        """The memos for a request line. What is asked for grows young again."""
        memos: list[Memo] | None = self.young.get(line)
        if memos is None and self.old:
            memos = self.old.pop(line, None)
            if memos is not None:
                self.young[line] = memos
        return memos

    def count(self) -> int:
        """How many memos it holds."""
        return sum(map(len, self.young.values())) + sum(map(len, self.old.values()))

    def grow_old(self) -> bool:
        """Let go of what nobody asked for since this was called last; whether anything is left."""
        self.old, self.young = self.young, {}
        return bool(self.old)


@cython.cclass
class Profile:
    """The fields of a head, read once for all requests that bear the very same ones."""

    fields: Fields
    table: Table
    verdicts: dict[Conditions, bool]
    logged: str | None  # what the access log says of them

    def __init__(self, fields: Fields, table: Table) -> None:
        self.fields = fields
        self.table = table
        self.verdicts = {}
        self.logged = None

    def meets(self, conditions: Conditions) -> bool:
        """Whether `conditions` hold."""
        verdict = self.verdicts.get(conditions)
        if verdict is None:
            verdict = self.verdicts[conditions] = conditions.hold(self.fields)
        return verdict


class Way(Protocol):
    """A connection at rest: whatever comes now begins a request, and nothing waits to be sent."""

    peer: str
    transport: Any

    @property
    def full(self) -> bool:
        """Whether what was written must leave before more is."""
        ...

    def place(self) -> Place:
        """Where its client is."""
        ...

    def missed(self, profile: Profile, line: bytes) -> None:
        """The only request that came might have been answered, had there been a memo."""
        ...


@cython.cclass
class Lane:
    """The memos of one scheme's listeners."""

    _open: cython.bint
    _store: MemoryStore
    _gate: Gate
    _log: AccessLog | None
    _new_id: Callable[[], str]
    _profiles: dict[bytes, Profile | None]
    _older_profiles: dict[bytes, Profile | None]
    _tables: dict[str, Table]
    _made: cython.long  # memos since the young ones grew old
    _most: cython.long
    _answers: cython.long
    _epoch: cython.long

    def __init__(
        self,
        store: MemoryStore,
        gate: Gate,
        new_id: Callable[[], str],
        most: int = MEMOS,
    ) -> None:
        """`most` is how many memos one generation has; two are kept."""
        self._open = True
        self._store = store
        self._gate = gate
        self._log = None
        self._new_id = new_id
        self._profiles = {}
        self._older_profiles = {}
        self._tables = {}
        self._made = 0
        self._most = most
        self._answers = 0
        self._epoch = store.epoch

    def take(self, way: Way, data: bytes) -> bytes:
        """Answers the requests in `data` that it has memos for, from the first on; what is left of `data`."""
        while data and self._open:
            cut: cython.Py_ssize_t = data.find(b"\r\n") + 2
            if cut < 2:
                return data
            rest = b""
            block = data[cut:]
            profile: Profile | None = self._profiles.get(block)
            if profile is None:
                end: cython.Py_ssize_t = block.find(b"\r\n\r\n") + 4
                if end < 4:
                    return data
                if end < len(block):
                    rest = block[end:]
                    block = block[:end]
                profile = self._profiles.get(block) or self._read(block)
            if profile is None or not self._replay(way, data[:cut], profile, not rest):
                return data
            data = rest
            if data and way.full:
                return data
        return data

    @cython.cfunc
    def _replay(self, way: Way, line: bytes, profile: Profile, alone: bool) -> bool:
        """Whether a head of `line` and `profile` was answered."""
        began: cython.double = monotonic()
        memos: list[Memo] | None = profile.table.find(line)
        if memos is not None and self._in_force():
            memo: Memo
            for memo in memos:
                if (
                    memo.expires > began
                    and memo.served.current
                    and profile.meets(memo.conditions)
                    and (memo.place is None or memo.place == way.place())
                ):
                    answered: bool = self._answer(way, profile, memo, began)
                    return answered
        if alone and line.startswith((b"GET /", b"HEAD /")) and line.endswith(b" HTTP/1.1\r\n"):
            way.missed(profile, line)
        return False

    @cython.cfunc
    def _answer(self, way: Way, profile: Profile, memo: Memo, began: cython.double) -> bool:
        gate = self._gate
        if gate.guarded and (way.peer in gate.trusted or gate.admit(way.peer, NO_FIELDS) is not None):
            return False
        body = memo.body
        named = self._new_id()
        slot = memo.slot
        if slot.used is not slot.heat.period:  # as in Slot.use, less the call
            slot.use()
        self._answers += 1
        if len(body) <= JOINED:
            way.transport.write(memo.head(began, named) + body)
        else:
            way.transport.writelines([memo.head(began, named), body])
        seconds: cython.double = monotonic() - began
        memo.series.add(len(body), seconds)
        log = self._log
        if log is not None and memo.mould is not None:
            logged = profile.logged
            if logged is None:
                logged = profile.logged = log.tail(profile.fields)
            log.again(memo.mould, logged, named, way.peer, seconds)
        return True

    @cython.cfunc
    def _in_force(self) -> bool:
        """Whether memos may be used now: no purge is at work, and what is stored is trusted still."""
        store = self._store
        if store.epoch != self._epoch:
            self.forget()
            return False
        return not store.sweeping

    @cython.cfunc
    def _read(self, block: bytes) -> Profile | None:
        """The profile of a head's fields; None where they are not for the lane."""
        profile: Profile | None = None
        if block in self._older_profiles:
            profile = self._older_profiles[block]
        elif block in self._profiles:
            return None
        else:
            fields = strict_fields(block)
            if fields is not None:
                profile = Profile(fields, self._table(fields.get("host") or ""))
        if len(self._profiles) >= PROFILES:
            self._older_profiles, self._profiles = self._profiles, {}
        self._profiles[block] = profile
        return profile

    @cython.cfunc
    def _table(self, host: str) -> Table:
        table = self._tables.get(host)
        if table is None:
            table = self._tables[host] = Table()
        return table

    def keep(self, profile: Profile, line: bytes, memo: Memo) -> None:
        """Replay `memo` from now on where `line` is asked for with such fields."""
        slot = memo.slot
        if len(slot.memos) >= 2 * VARIANTS:
            slot.let_go()  # most of them are out of use, and the others are soon made again
        slot.memos.append(memo)
        table = profile.table
        kept = [memo]
        each: Memo
        for each in table.find(line) or ():
            if (
                each.alive
                and (each.conditions is not memo.conditions or each.place != memo.place)
                and len(kept) < VARIANTS
            ):
                kept.append(each)
        table.young[line] = kept
        self._made += 1
        if self._made >= self._most:
            self._made = 0
            self._tables = {host: table for host, table in self._tables.items() if table.grow_old()}

    @property
    def answers(self) -> int:
        """How many it has given."""
        return int(self._answers)

    @property
    def memos(self) -> int:
        """How many it holds, those out of use included."""
        return sum(table.count() for table in self._tables.values())

    def close(self) -> None:
        """Answer nothing from now on: connections are to be told that they end."""
        self._open = False
        self.forget()

    def log_to(self, log: AccessLog | None) -> None:
        """Write answers down in `log` from now on. What was kept for another one is forgotten."""
        self._log = log
        self.forget()

    def forget(self) -> None:
        """Hold no memo any more."""
        self._epoch = self._store.epoch
        self._tables = {}
        self._profiles = {}
        self._older_profiles = {}
        self._made = 0


COMPILED: bool = cython.compiled
