"""A connection's end that its transport talks to: the lane first, then the ordinary way.

Compiled with the lane; edge/door.pxd says what of it is C.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from time import monotonic
from typing import Any, Protocol

import cython

from edge.access_log import AccessLog
from edge.http.message import NO_FIELDS
from edge.lane import JOINED, Broken, Lane, Memo, Place, Profile, Table
from edge.outlet import Outlet
from edge.store.lent import Held

# An answer whose lent body is on its way, for whom, and since when.
Lending = tuple[Memo, Broken | None, Profile, str, str, float]
COPIED = 1024 * 1024  # bytes of a lent body that are read and written where they must be encrypted


class Ordinary(Protocol):
    """The ordinary way of a connection: what the lane does not take goes there, whole."""

    peer: str

    def at_rest(self) -> bool:
        """Whether whatever comes now begins a request, and nothing waits to be answered or sent."""
        ...

    def place(self, client: str) -> Place:
        """Where `client` is, who asks by this connection."""
        ...

    def outlet(self) -> Outlet | None:
        """What sends lent bytes to the client; None where they have to be encrypted."""
        ...

    def missed(self, profile: Profile, line: bytes) -> bool:
        """The only request that came might have been answered, had there been a memo: whether it is now."""
        ...

    def connection_made(self, transport: Any) -> None: ...
    def connection_lost(self, exc: BaseException | None) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> bool | None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


@cython.cclass
class Door:
    """A connection's end that its transport talks to: the lane first, then the ordinary way."""

    _lane: Lane
    _ordinary: Ordinary
    _transport: Any
    _write: Any
    _peer: str
    _resting: cython.bint  # whether the ordinary way was at rest, and had nothing to do since
    _full: cython.bint
    _heard: cython.double
    _profile: Profile | None  # of the request before; the next one's is the same, mostly
    _forgotten: cython.long
    _outlet: Any
    _lending: Lending | None
    _held: bytes  # what came meanwhile
    _ended: cython.bint  # whether the client has said all meanwhile

    def __init__(self, lane: Lane, ordinary: Ordinary) -> None:
        self._lane = lane
        self._ordinary = ordinary
        self._transport = self._write = None
        self._peer = ""
        self._resting = self._full = False
        self._heard = 0.0
        self._profile = None
        self._forgotten = -1
        self._outlet = self._lending = None
        self._held = b""
        self._ended = False

    @property
    def heard(self) -> float:
        """When the lane answered last, on the monotonic clock."""
        return float(self._heard)

    def connection_made(self, transport: Any) -> None:
        """The transport is there."""
        self._transport = transport
        self._write = transport.write
        self._ordinary.connection_made(transport)
        self._peer = self._ordinary.peer

    def connection_lost(self, exc: BaseException | None) -> None:
        """The transport is gone."""
        self._resting = False
        self._profile = None
        if self._lending is not None:
            self._outlet.stop()
            self._broke_off()
        self._ordinary.connection_lost(exc)

    def eof_received(self) -> bool | None:
        """The client has said all."""
        if self._lending is not None:
            self._ended = True
            return True
        self._resting = False
        return self._ordinary.eof_received()

    def pause_writing(self) -> None:
        """What was written must leave before more is."""
        self._full = True
        self._resting = False
        self._ordinary.pause_writing()

    def resume_writing(self) -> None:
        """There is room again."""
        self._full = False
        self._ordinary.resume_writing()

    def wake(self) -> None:
        """Something happens in the ordinary way: ask it again whether it is at rest."""
        self._resting = False

    def data_received(self, data: bytes) -> None:
        """Answers what there are memos for, and hands the rest on."""
        if self._lending is not None:
            self._held += data
            if len(self._held) > JOINED:
                self._transport.pause_reading()
            return
        if not self._resting:
            self._resting = self._ordinary.at_rest()
        if self._resting and self._lane.open:
            data = self._take(data)
            if not data:
                return
        self._resting = False
        self._ordinary.data_received(data)

    @cython.cfunc
    def _take(self, data: bytes) -> bytes:
        """Answers the requests in `data` from the first on; what is left of it."""
        lane: Lane = self._lane
        gate = lane.gate
        in_force: cython.bint = lane.in_force()
        guarded: cython.bint = gate.guarded
        began: cython.double = monotonic()
        waiting: list[bytes] = []
        waits: cython.Py_ssize_t = 0
        while data:
            cut: cython.Py_ssize_t = data.find(b"\r\n") + 2
            profile: Profile | None = None if cut < 2 else self._profile_at(data, cut)
            if profile is None:
                break
            line = data[:cut]
            end: cython.Py_ssize_t = cut + len(profile.block)
            alone: cython.bint = end == len(data)
            client = self._peer
            if guarded and client in gate.trusted:
                client, profile = lane.behind(client, profile)
                if profile is None:
                    break
            memo: Memo | None = self._fitting(profile, line, client, began) if in_force else None
            if memo is None:
                if alone and line.endswith(b" HTTP/1.1\r\n") and self._ordinary.missed(profile, line):
                    self._resting = False
                    data = b""
                break
            held: Held | None = None if memo.lent is None else self._at_hand(memo, waits)
            if held is None and memo.lent is not None:
                break
            if guarded and gate.admit(client, NO_FIELDS) is not None:
                break
            slot = memo.slot
            if slot.used is not slot.heat.period:  # as in Slot.use, less the call
                slot.use()
            named: str = lane.new_id.new()
            said: bytes = memo.said(began, named)
            if held is not None and self._outlet is not None and self._outlet.free and not waits:
                data = data[end:]
                self._lending = (memo, memo.broken, profile, named, client, began)
                if self._goes_on(said, held):
                    self._held = data
                    return b""
                began = self._heard
                continue
            waits = self._say(said, memo, held, waiting, waits, alone)
            self._heard = monotonic()
            self._note(memo, profile, named, client, self._heard - began)
            began = self._heard
            data = data[end:]
            if waits > JOINED:
                self._write(b"".join(waiting))
                waiting, waits = [], 0
            if self._full:
                break
        if waiting:
            self._write(b"".join(waiting))
        return data

    @cython.cfunc
    def _say(
        self,
        said: bytes,
        memo: Memo,
        held: Held | None,
        waiting: MutableSequence[bytes],
        waits: cython.Py_ssize_t,
        alone: cython.bint,
    ) -> cython.Py_ssize_t:
        """Writes an answer, or lets it wait for others; how many bytes are `waiting` then."""
        if memo.size > JOINED:
            if waiting:
                self._write(b"".join(waiting))
                waiting.clear()
            self._transport.writelines([said, memo.body if held is None else held.read()])
            return 0
        if alone and not waits:
            self._write(said)
            return 0
        waiting.append(said)
        return waits + len(said)

    @cython.cfunc
    def _at_hand(self, memo: Memo, waits: cython.Py_ssize_t) -> Held | None:
        """The lent body of `memo`, if it can be sent now, or else be written; `waits` bytes go before it."""
        held: Held | None = None if memo.lent is None else memo.lent.ready()
        if held is None:
            return None
        if self._outlet is None:
            self._outlet = self._ordinary.outlet()
        if self._outlet is not None and self._outlet.free and not waits:
            return held
        return held if held.size <= COPIED and held.near(0, held.size) else None

    @cython.cfunc
    def _goes_on(self, said: bytes, held: Held) -> cython.bint:
        """Sends an answer's head, then its lent body; whether that goes on, or nothing more can be sent."""
        self._outlet.send(said, held, self.sent)
        return bool(self._outlet.busy or self._transport.is_closing())

    def sent(self, whole: bool) -> None:
        """The lent body that was under way has left, or the connection cannot take the rest of it."""
        assert self._lending is not None
        memo, _, profile, named, client, began = self._lending
        if not whole:
            self._broke_off()
            self._transport.abort()
            return
        self._lending = None
        self._heard = monotonic()
        self._note(memo, profile, named, client, self._heard - began)
        data, self._held = self._held, b""
        if len(data) > JOINED:
            self._transport.resume_reading()
        if data:
            self.data_received(data)
        if self._ended and self._lending is None:
            self._transport.close()

    @cython.cfunc
    def _broke_off(self) -> cython.bint:
        """Counts and logs an answer that its client did not get all of; always true."""
        assert self._lending is not None
        _, broken, profile, named, client, began = self._lending
        self._lending, self._held = None, b""
        self._lane.given += 1
        took: cython.double = monotonic() - began
        if broken is not None:
            series, mould = broken(self._outlet.sent)
            series.add(self._outlet.sent, took)
            log: AccessLog | None = self._lane.log
            if log is not None and mould is not None:
                log.again(mould, log.tail(profile.fields), named, client, took)
        return True

    @cython.cfunc
    def _note(
        self, memo: Memo, profile: Profile, named: str, client: str, took: cython.double
    ) -> cython.bint:
        """Counts and logs an answer; always true."""
        lane: Lane = self._lane
        lane.given += 1
        memo.series.add(memo.size, took)
        log: AccessLog | None = lane.log
        if log is not None and memo.mould is not None:
            if profile.logged is None:
                profile.logged = log.tail(profile.fields)
            log.again(memo.mould, profile.logged, named, client, took)
        return True

    @cython.cfunc
    def _profile_at(self, data: bytes, cut: cython.Py_ssize_t) -> Profile | None:
        """The profile of the fields that begin in `data` at `cut`."""
        lane: Lane = self._lane
        profile: Profile | None = self._profile
        if profile is not None and self._forgotten == lane.forgotten and data.startswith(profile.block, cut):
            return profile
        block = data[cut:]
        profile = lane.profiles.get(block)
        if profile is None:
            end: cython.Py_ssize_t = block.find(b"\r\n\r\n") + 4
            if end < 4:
                return None
            if end < len(block):
                block = block[:end]
            profile = lane.profile(block)
        self._profile = profile
        self._forgotten = lane.forgotten
        return profile

    @cython.cfunc
    def _fitting(self, profile: Profile, line: bytes, client: str, now: cython.double) -> Memo | None:
        """The memo that answers `line` with the fields of `profile`."""
        lane: Lane = self._lane
        table: Table = profile.table
        memos: tuple[Memo, ...] | None = table.young.get(line)
        if memos is None:
            memos = table.find(line)
            if memos is None:
                return None
        memo: Memo
        for memo in memos:
            if (
                memo.expires > now
                and memo.served.current
                and (not lane.shared or lane.generations[memo.bucket] == memo.generation)
                and profile.meets(memo.conditions)
                and (memo.place is None or memo.place == self._ordinary.place(client))
            ):
                return memo
        return None
