"""The short way for hits: it replays memos of the pipeline's answers.

The lane never decides. A memo is an answer that the pipeline made, the conditions under which it made it and
the moment until which they hold (edge.memo makes them). The lane replays it, with the age of the moment, or
steps aside and leaves every byte to the ordinary parser. What it takes is a strict subset of HTTP/1.1.

This is Python that Cython compiles as it stands; where it is not compiled, it runs as Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cython

from edge.access_log import AccessLog, Mould
from edge.guard.gate import Gate
from edge.guard.proxies import PassedOn, client_of, scheme_of
from edge.http.message import Fields
from edge.http.recording import Conditions
from edge.http.subset import strict_fields
from edge.ids import Ids
from edge.series import Series
from edge.sites import Served
from edge.store.eviction import Slot
from edge.store.generations import STRUCK
from edge.store.lent import Lent
from edge.store.memory import MemoryStore

MEMO_OVERHEAD = 600  # bytes that a memo takes beside its texts
PROFILES = 2_048  # of one generation; two are kept
VARIANTS = 8  # memos of one request line
MET = 2**19  # request lines of which it is known, by a byte each, whether they came before
JOINED = 64 * 1024  # bytes of a body that is written together with its head

Place = tuple[str | None, int | None]  # country and network (ASN)
Pieces = tuple[bytes, bytes, bytes, bytes]
# How an answer that broke off after so many bytes of its body is counted and logged.
Broken = Callable[[int], tuple[Series, Mould | None]]


@cython.cclass
class Memo:
    """One answer to a request that began with `line`. Its head is cut in four where Age, the lifetime left
    and the request's id stand. `weight` are the bytes that it takes beside its body, which is the entry's.

    A body that is `lent` does not stand in `body`; `broken` is there for it.
    """

    conditions: Conditions
    slot: Slot
    served: Served
    series: Series
    mould: Mould | None  # what the access log says of it
    place: Place | None  # of the visitors that it is for; None: of all
    line: bytes
    body: bytes
    weight: cython.long
    lent: Lent | None
    broken: Broken | None
    size: cython.Py_ssize_t  # of the body
    expires: cython.double  # monotonic
    bucket: cython.long  # where other workers note that they changed what is stored under its key,
    generation: cython.ulonglong  # and what was noted there when it was made
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
        line: bytes,
        conditions: Conditions,
        slot: Slot,
        served: Served,
        pieces: Pieces,
        body: bytes | Lent,
        born: float,
        expires: float,
        series: Series,
        mould: Mould | None,
        place: Place | None,
        noted: tuple[int, int] = (0, 0),
        broken: Broken | None = None,
    ) -> None:
        self.bucket, self.generation = noted
        self.line = line
        self.conditions = conditions
        self.slot = slot
        self.served = served
        self.series = series
        self.mould = mould
        self.place = place
        self.body = body if isinstance(body, bytes) else b""
        self.lent = None if isinstance(body, bytes) else body
        self.broken = broken
        self.size = len(body)
        self.expires = expires
        self._born = born
        self._before, self._between, self._after, self._tail = pieces
        self._age = self._ttl = -1
        self._head = b""
        told = sum(map(len, mould)) if mould is not None else 0
        self.weight = MEMO_OVERHEAD + 2 * len(self._before) + len(line) + told

    @cython.ccall
    def said(self, now: cython.double, named: str) -> bytes:
        """The answer to the request called `named`, at the moment `now`; without a long or lent body."""
        age: cython.long = int(now - self._born)
        ttl: cython.long = int(self.expires - now)
        head: bytes = self._head
        if age != self._age or ttl != self._ttl:
            head = b"%b%d%b%d%b" % (self._before, age, self._between, ttl, self._after)
            self._head = b""
            self._age = age
            self._ttl = ttl
            self.slot.touch()
        elif not head:  # the second in this second: it is worth keeping
            head = self._head = b"%b%d%b%d%b" % (self._before, age, self._between, ttl, self._after)
        if len(self.body) <= JOINED:
            return b"".join((head, named.encode(), self._tail, self.body))
        return b"".join((head, named.encode(), self._tail))

    def forget(self) -> None:
        """Be used no more: the entry has left the store, or is not what it would answer with."""
        self.expires = 0.0
        self.body = b""
        self.lent = self.broken = None

    @property
    def alive(self) -> bool:
        """Whether it may ever be used again."""
        return self.expires > 0.0 and self.served.current


@cython.cclass
class Table:
    """The memos of one host by request line, in two generations."""

    young: dict[bytes, tuple[Memo, ...]]
    old: dict[bytes, tuple[Memo, ...]]

    def __init__(self) -> None:
        self.young = {}
        self.old = {}

    def find(self, line: bytes) -> tuple[Memo, ...] | None:
        """The memos for a request line. What is asked for grows young again."""
        memos: tuple[Memo, ...] | None = self.young.get(line)
        if memos is None and self.old:
            memos = self.old.pop(line, None)
            if memos is not None:
                self.young[line] = memos
        return memos

    def count(self) -> int:
        """How many memos it holds."""
        return sum(map(len, self.young.values())) + sum(map(len, self.old.values()))

    def grow_old(self) -> dict[bytes, tuple[Memo, ...]]:
        """Let go of what nobody asked for since this was called last: that is returned."""
        left, self.old, self.young = self.old, self.young, {}
        return left


@cython.cclass
class Profile:
    """The fields of a head, read once for all requests that bear the very same ones."""

    block: bytes
    fields: Fields
    host: str
    table: Table
    verdicts: dict[Conditions, bool]
    logged: str | None  # what the access log says of them
    passed_on: PassedOn | None

    def __init__(self, block: bytes, fields: Fields, host: str, table: Table) -> None:
        self.block = block
        self.fields = fields
        self.host = host
        self.table = table
        self.verdicts = {}
        self.logged = None
        self.passed_on = None

    @cython.ccall
    def meets(self, conditions: Conditions) -> cython.bint:
        """Whether `conditions` hold."""
        verdict = self.verdicts.get(conditions)
        if verdict is None:
            verdict = self.verdicts[conditions] = conditions.hold(self.fields)
        return verdict


@cython.cclass
class Lane:
    """The memos of one scheme's listeners."""

    open: cython.bint
    store: MemoryStore
    gate: Gate
    log: AccessLog | None
    new_id: Ids
    profiles: dict[bytes, Profile | None]
    _older_profiles: dict[bytes, Profile | None]
    _tables: dict[str, Table]
    _made: cython.long  # bytes of memos since the young ones grew old
    _most: cython.long
    _leaving: list[dict[bytes, tuple[Memo, ...]]]  # memos that nobody finds any more
    given: cython.long  # answers
    _epoch: cython.long
    forgotten: cython.long  # times that all was
    _scheme: str
    _beside: Mapping[str, Lane]
    shared: cython.bint  # whether other workers have the same store
    generations: cython.ulonglong[::1]
    _struck: cython.ulonglong  # of purges, as they were last heard of
    _met: bytearray

    def __init__(
        self,
        store: MemoryStore,
        gate: Gate,
        new_id: Ids,
        most: int,
    ) -> None:
        """`most` is how many bytes the memos of one generation take; two are kept."""
        self.open = True
        self.store = store
        self.gate = gate
        self.log = None
        self.new_id = new_id
        self.profiles = {}
        self._older_profiles = {}
        self._tables = {}
        self._made = 0
        self._most = most
        self._leaving = []
        self.given = 0
        self._epoch = store.epoch
        self.forgotten = 0
        self._scheme = "http"
        self._beside = {}
        self._met = bytearray(MET)
        self._struck = 0
        self.shared = store.generations is not None
        if store.generations is not None:
            self.generations = store.generations

    def stand_beside(self, scheme: str, lanes: Mapping[str, Lane]) -> None:
        """Be the lane of `scheme` among `lanes`: proxies may ask in another scheme's name."""
        self._scheme = scheme
        self._beside = lanes

    @cython.ccall
    def in_force(self) -> cython.bint:
        """Whether memos may be used now: no purge is at work, and what is stored is trusted still."""
        store = self.store
        if self.shared and self.generations[STRUCK] != self._struck:
            self._struck = self.generations[STRUCK]
            store.hear()
        if store.epoch != self._epoch:
            self.forget()
            return False
        return not store.sweeping

    @cython.ccall
    def met(self, line: bytes) -> cython.bint:
        """Whether `line` has come before, as far as that is remembered; it has from now on."""
        hashed: cython.ulonglong = hash(line) & 0x7FFF_FFFF_FFFF_FFFF
        at: cython.Py_ssize_t = hashed % MET
        mark: cython.int = 1 + (hashed >> 32) % 255
        if self._met[at] == mark:
            return True
        self._met[at] = mark
        return False

    @cython.ccall
    def profile(self, block: bytes) -> Profile | None:
        """The profile of the fields in `block`; None where they are not for the lane."""
        profile: Profile | None = self.profiles.get(block)
        if profile is None:
            profile = self._read(block)
        return profile

    @cython.cfunc
    def _read(self, block: bytes) -> Profile | None:
        profile: Profile | None = None
        if block in self._older_profiles:
            profile = self._older_profiles[block]
        elif block in self.profiles:
            return None
        else:
            fields = strict_fields(block)
            if fields is not None:
                host = fields.get("host") or ""
                profile = Profile(block, fields, host, self._table(host))
        if len(self.profiles) >= PROFILES:
            self._older_profiles, self.profiles = self.profiles, {}
        self.profiles[block] = profile
        return profile

    @cython.cfunc
    def _table(self, host: str) -> Table:
        table = self._tables.get(host)
        if table is None:
            table = self._tables[host] = Table()
        return table

    def behind(self, peer: str, profile: Profile) -> tuple[str, Profile | None]:
        """Who asks by the trusted `peer`, and how the lane of his scheme sees it."""
        trusted = self.gate.trusted
        known = profile.passed_on
        if known is None or known.trusted is not trusted or known.peer != peer:
            client = client_of(peer, profile.fields, trusted)
            scheme = scheme_of(peer, self._scheme, profile.fields, trusted)
            known = profile.passed_on = PassedOn(trusted, peer, client, scheme)
        if known.scheme == self._scheme:
            return known.client, profile
        lane: Lane = self._beside[known.scheme]
        return known.client, lane.profile(profile.block) if lane.in_force() else None

    def keep(self, profile: Profile, memo: Memo) -> None:
        """Replay `memo` from now on where such fields are asked with."""
        memo.slot.bear(memo, 2 * VARIANTS)  # of more most are out of use, and the others are soon made again
        table = profile.table = self._table(profile.host)
        kept = [memo]
        each: Memo
        for each in table.find(memo.line) or ():
            if (
                each.alive
                and (each.conditions is not memo.conditions or each.place != memo.place)
                and len(kept) < VARIANTS
            ):
                kept.append(each)
            else:
                each.slot.part(each)
        table.young[memo.line] = tuple(kept)
        self._made += memo.weight
        if self._made >= self._most:
            self._made = 0
            self._leaving += [table.grow_old() for table in self._tables.values()]
            self._tables = {host: table for host, table in self._tables.items() if table.old}
        self._part()

    @cython.cfunc
    def _part(self) -> cython.bint:
        """Part some of those that leave from their entries, more than come; whether any are left."""
        for _ in range(VARIANTS):
            while self._leaving and not self._leaving[-1]:
                self._leaving.pop()
            if not self._leaving:
                return False
            _, memos = self._leaving[-1].popitem()
            memo: Memo
            for memo in memos:
                memo.slot.part(memo)
        return True

    @property
    def answers(self) -> int:
        """How many it has given."""
        return int(self.given)

    @property
    def memos(self) -> int:
        """How many it holds, those out of use included."""
        return sum(table.count() for table in self._tables.values())

    def close(self) -> None:
        """Answer nothing from now on: connections are to be told that they end."""
        self.open = False
        self.forget()

    def log_to(self, log: AccessLog | None) -> None:
        """Write answers down in `log` from now on. What was kept for another one is forgotten."""
        self.log = log
        self.forget()

    def forget(self) -> None:
        """Hold no memo any more."""
        self._epoch = self.store.epoch
        self.forgotten += 1
        table: Table
        for table in self._tables.values():
            self._leaving += [table.young, table.old]
        self._tables = {}
        self.profiles = {}
        self._older_profiles = {}
        self._made = 0


COMPILED: bool = cython.compiled
