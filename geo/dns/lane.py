"""The short way for queries: it replays ready answers.

The lane never decides. What the Responder answered it keeps as records behind a question, with what they
depend on: the question alone, or also the record of the database in which the client lies and, among equal
nodes, his network's bucket. Another state of zones, hosts, fleet or database makes another lane. What it
takes is a strict subset of queries; all else is left to the Responder.

This is Python that Cython compiles as it stands; where it is not compiled, it runs as Python.
"""

# cython: boundscheck=False, wraparound=False
from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Any

import cython

from geo.dns.batch import NAME_SLOT, REPLY_SLOT, SLOT
from geo.dns.cookies import Cookies
from geo.spread import bucket_of

LONGEST_NAME = 255
OUR_SIZE = 1232
CLASSIC_SIZE = 512
LEFT = 0  # instead of a reply's length
NOWHERE = 255  # bits walked in a tree that has no such family of addresses
_FIRST_BITS = 16


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for every reply (geo.dns.answer.Manners), as the lane needs it."""

    subnet: bool
    has_nsid: bool
    amplification: float
    cookies: Cookies | None
    split: bool  # whether clients get different answers at all
    signed: bool = False  # whether DO makes a difference
    special: frozenset[tuple[int, int]] = frozenset()  # networks (octets, number) left to the Responder


@cython.cclass
class Tree:
    """The search tree of an MMDB file, walked where it lies. Its first 16 bits of IPv4 are walked beforehand.

    `data` is the file, `nodes` its number of nodes, `bits` the size of a record, `version` 4 or 6.
    """

    nodes = cython.declare(cython.uint, visibility="public")
    usable = cython.declare(cython.bint, visibility="public")
    _held: object
    _data: cython.p_uchar
    _bits: cython.int
    _six: cython.bint
    _first: cython.uint[::1]
    _depth: cython.uchar[::1]

    def __init__(self, data: Any, nodes: int, bits: int, version: int) -> None:
        view: cython.uchar[::1] = memoryview(data)
        self._held = view
        self.nodes = nodes
        self._bits = bits
        self._six = version == 6
        self.usable = bits in (24, 28, 32) and 0 < nodes < 2**31 and len(data) > nodes * bits // 4
        if cython.compiled:
            self._data = cython.address(view[0])
        else:
            self._data = view
        self._first = array("I", bytes(4 * 2**_FIRST_BITS))
        self._depth = array("B", bytes(2**_FIRST_BITS))
        if self.usable:
            self._walk_ahead()

    def _walk_ahead(self) -> None:
        root: cython.uint = 0
        depth: cython.int
        at: cython.int
        if self._six:
            for _ in range(96):
                if root < self.nodes:
                    root = self._child(root, 0)
            self.usable = root < self.nodes
        level = [(root, 0)]
        for depth in range(_FIRST_BITS):  # noqa: B007 — counted only
            below = []
            for node, walked in level:
                if node < self.nodes:
                    below += [(self._child(node, 0), walked + 1), (self._child(node, 1), walked + 1)]
                else:
                    below += [(node, walked)] * 2
            level = below
        for at in range(2**_FIRST_BITS):
            self._first[at], self._depth[at] = level[at]

    @cython.cfunc
    @cython.exceptval(check=False)
    def _child(self, node: cython.uint, bit: cython.int) -> cython.uint:
        data: cython.p_uchar = self._data
        at: cython.size_t
        high: cython.uint
        if self._bits == 24:
            at = cython.cast(cython.size_t, node) * 6 + bit * 3
            return cython.cast(cython.uint, data[at] << 16 | data[at + 1] << 8 | data[at + 2])
        if self._bits == 28:
            at = cython.cast(cython.size_t, node) * 7
            high = (data[at + 3] & 0x0F) if bit else (data[at + 3] >> 4)
            at += 4 if bit else 0
            return cython.cast(cython.uint, high << 24 | data[at] << 16 | data[at + 1] << 8 | data[at + 2])
        at = cython.cast(cython.size_t, node) * 8 + bit * 4
        high = data[at]
        return cython.cast(cython.uint, high << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3])

    @cython.cfunc
    @cython.exceptval(check=False)
    def walk(self, address: cython.p_uchar, size: cython.int) -> cython.ulonglong:
        """Where an address of `size` octets ends in the tree: the record, 8 bits up, and the bits walked.

        All ones where the tree has no such family.
        """
        nodes: cython.uint = self.nodes
        node: cython.uint = 0
        depth: cython.int = 0
        bits: cython.int = size * 8
        if size == 4:
            node = self._first[address[0] << 8 | address[1]]
            depth = self._depth[address[0] << 8 | address[1]]
        elif not self._six:
            return 0xFFFFFFFFFFFFFFFF
        while node < nodes and depth < bits:
            node = self._child(node, (address[depth >> 3] >> (7 - (depth & 7))) & 1)
            depth += 1
        return cython.cast(cython.ulonglong, node) << 8 | depth

    def find(self, address: bytes) -> tuple[int, int]:
        """The record at which `address` (4 or 16 octets) ends, and how many bits lead there."""
        ended: cython.ulonglong
        if cython.compiled:
            ended = self.walk(cython.cast(cython.p_uchar, address), len(address))
        else:
            ended = self.walk(address, len(address))
        return int(ended >> 8), int(ended & 0xFF)


@cython.cclass
class Ready:
    """Records behind a question. `hits` is how often they were sent; the rest is for metrics."""

    body: bytes
    flags: cython.int  # AA and the code
    answers: cython.int
    authority: cython.int
    additional: cython.int
    apex: cython.int  # length of the zone's name where the first owner is that, however long the question
    hits = cython.declare(cython.ulonglong, visibility="public")
    about = cython.declare(object, visibility="public")

    def __init__(
        self, body: bytes, flags: int, counts: tuple[int, int, int], apex: int, about: object
    ) -> None:
        self.body = body
        self.flags = flags
        self.answers, self.authority, self.additional = counts
        self.apex = apex
        self.hits = 0
        self.about = about


@cython.cclass
class Leaf:
    """A record of the database: ready answers by family, or by family and bucket among equal nodes."""

    located: cython.bint
    ready: dict[int, Ready]
    spread: dict[int, dict[int, Ready]]

    def __init__(self, located: bool) -> None:
        self.located = located
        self.ready = {}
        self.spread = {}


@cython.cclass
class Entry:
    """What a question is answered from: one ready answer for all, or a family of them by client."""

    ready: Ready | None
    family: cython.int

    def __init__(self, ready: Ready | None, family: int) -> None:
        self.ready = ready
        self.family = family


@cython.cclass
class Lane:
    """Ready answers of one state. `learn` fills it, `run` and `answer` replay."""

    tree = cython.declare(object, visibility="public")
    now = cython.declare(cython.longlong, visibility="public")
    _questions: dict[bytes, Entry]
    _leaves: dict[int, Leaf]
    _special: frozenset[tuple[int, int]]
    _made: list[Ready]
    _cookies: Cookies | None
    _subnet: cython.bint
    _nsid: cython.bint
    _split: cython.bint
    _signed: cython.bint
    _most: cython.int
    _amplification: cython.double
    _lower: cython.uchar[::1]
    _six: cython.uchar[::1]
    _proven: cython.bint
    _counted: dict[object, int]
    # of the packet at hand
    _has_opt: cython.bint
    _do: cython.bint
    _size: cython.int
    _subnet_at: cython.int
    _subnet_size: cython.int
    _cookie_at: cython.int
    _cookie_size: cython.int
    _scope: cython.int

    def __init__(self, tree: Tree | None, terms: Terms, most: int = 200_000) -> None:
        self.tree = tree if tree is not None and tree.usable else None
        self._questions = {}
        self._leaves = {}
        self._special = terms.special
        self._counted = {}
        self._made = []
        self._cookies = terms.cookies
        self._subnet = terms.subnet
        self._nsid = terms.has_nsid
        self._split = terms.split
        self._signed = terms.signed
        self._amplification = terms.amplification
        self._most = most
        self.now = 0
        self._lower = bytearray(LONGEST_NAME + 6)
        self._six = bytearray(16)
        self._proven = False

    def learn(self, question: bytes, ready: Ready, family: int = -1, leaf: int = 0, *, located: bool = True,
              bucket: int = -1) -> None:  # fmt: skip
        """Keeps `ready` for a question (name in lower case, type, class; 1 where signatures are asked for).

        With a `family`: for clients whose record is `leaf`, and whose network's bucket is `bucket` where that
        counts (0 and more).
        """
        if len(self._made) >= self._most or len(self._questions) >= self._most:
            self._counted = self.counted()
            self._questions.clear()
            self._leaves.clear()
            self._made.clear()
        if family < 0:
            self._questions[question] = Entry(ready, -1)
            self._made.append(ready)
            return
        self._questions[question] = Entry(None, family)
        kept: Leaf = self._leaves.setdefault(leaf, Leaf(located))
        place = kept.ready if bucket < 0 else kept.spread.setdefault(family, {})
        at = family if bucket < 0 else bucket
        if at not in place:
            place[at] = ready
            self._made.append(ready)

    def know(self, leaf: int, located: bool) -> None:
        """Keeps whether the record `leaf` has a place of its own."""
        self._leaves.setdefault(leaf, Leaf(located))

    def counted(self) -> dict[object, int]:
        """How often what was sent, so far."""
        counts = dict(self._counted)
        for ready in self._made:
            counts[ready.about] = counts.get(ready.about, 0) + ready.hits
        return counts

    def answer(self, packet: bytes, source: bytes, now: int) -> bytes | None:
        """The reply to one packet from `source` (4 or 16 octets); None where the Responder has to say it."""
        out = bytearray(OUR_SIZE)
        size: cython.int
        self.now = now
        if cython.compiled:
            size = self._one(
                cython.cast(cython.p_uchar, cython.cast(cython.p_char, packet)), len(packet),
                cython.cast(cython.p_uchar, cython.cast(cython.p_char, source)), len(source),
                cython.cast(cython.p_uchar, cython.cast(cython.p_char, out)),
            )  # fmt: skip
        else:
            size = self._one(packet, len(packet), source, len(source), out)
        return bytes(out[:size]) if size > 0 else None

    def run(self, batch: Any, count: cython.int, rates: Any, now: cython.longlong, clock: float) -> list[int]:
        """Answers what it can of a batch's first `count` queries; which are left.

        `rates`, if any, may hold a reply back: that query is left, its number negative (~n).
        """
        queries: cython.uchar[::1] = batch.queries
        replies: cython.uchar[::1] = batch.replies
        names: cython.uchar[::1] = batch.names
        query_sizes: cython.uint[::1] = batch.query_sizes
        reply_sizes: cython.ulong[::1] = batch.reply_sizes
        octets: cython.int = batch.octets
        skip: cython.int = 4 if octets == 4 else 8
        number: cython.int
        size: cython.int
        left: list[int] = []
        self.now = now
        for number in range(count):
            reply_sizes[2 * number + 1] = 0
            size = query_sizes[16 * number + 14]
            if size >= SLOT or (names[number * NAME_SLOT + 2] == 0 and names[number * NAME_SLOT + 3] == 0):
                continue
            if cython.compiled:
                size = self._one(
                    cython.address(queries[number * SLOT]), size,
                    cython.address(names[number * NAME_SLOT + skip]), octets,
                    cython.address(replies[number * REPLY_SLOT]),
                )  # fmt: skip
            else:
                size = self._one(
                    queries[number * SLOT : (number + 1) * SLOT], size,
                    names[number * NAME_SLOT + skip :], octets, replies[number * REPLY_SLOT :],
                )  # fmt: skip
            if size == LEFT:
                left.append(number)
            elif rates is not None and not self._proven and not rates.allow(batch.source(number)[0], clock):
                left.append(~number)
            else:
                reply_sizes[2 * number + 1] = size
        return left

    @property
    def proven(self) -> bool:
        """Whether a cookie proved the sender of the last packet that was answered."""
        return bool(self._proven)

    @cython.cfunc
    def _one(self, data: cython.p_uchar, size: cython.int, source: cython.p_uchar, octets: cython.int,
             out: cython.p_uchar) -> cython.int:  # fmt: skip
        """Answers one packet into `out`; the reply's length, or LEFT."""
        end: cython.int
        if size < 17 or data[2] & 0xF8 or data[4] or data[5] != 1 or data[6] or data[7] or data[8] or data[9]:
            return LEFT
        if data[10] or data[11] > 1:
            return LEFT
        end = self._question(data, size)
        if end == LEFT:
            return LEFT
        self._has_opt = data[11] == 1
        self._subnet_at = self._cookie_at = 0
        if self._has_opt:
            if not self._opt(data, end, size):
                return LEFT
        elif end != size:
            return LEFT
        question: bytes
        asked: cython.int = end - 12
        if self._signed and self._has_opt and self._do:
            self._lower[asked] = 1
            asked += 1
        if cython.compiled:
            question = cython.cast(cython.p_char, cython.address(self._lower[0]))[:asked]
        else:
            question = bytes(self._lower[:asked])
        entry: Entry | None = self._questions.get(question)
        if entry is None:
            return LEFT
        self._scope = 0
        ready: Ready | None = entry.ready
        if ready is None:
            ready = self._steered(entry.family, data, source, octets)
            if ready is None:
                return LEFT
        return self._write(ready, data, size, end, source, octets, out)

    @cython.cfunc
    @cython.exceptval(check=False)
    def _question(self, data: cython.p_uchar, size: cython.int) -> cython.int:
        """Where the question ends; its name goes to `_lower` in lower case, with type and class."""
        at: cython.int = 12
        step: cython.int
        length: cython.int = 1
        octet: cython.uchar
        while length:
            length = data[at]
            if length > 63 or at + length + 5 > size or at + length - 12 >= LONGEST_NAME:
                return LEFT
            self._lower[at - 12] = data[at]
            for step in range(at + 1, at + length + 1):
                octet = data[step]
                self._lower[step - 12] = octet + 32 if 65 <= octet <= 90 else octet
            at += length + 1
        for step in range(at, at + 4):
            self._lower[step - 12] = data[step]
        return at + 4

    @cython.cfunc
    @cython.exceptval(check=False)
    def _opt(self, data: cython.p_uchar, at: cython.int, size: cython.int) -> cython.bint:
        """Whether the rest is one OPT record that the lane takes; notes what it holds."""
        if at + 11 > size or data[at] or data[at + 1] or data[at + 2] != 41 or data[at + 6]:
            return False
        length: cython.int = data[at + 9] << 8 | data[at + 10]
        self._size = data[at + 3] << 8 | data[at + 4]
        self._do = (data[at + 7] & 0x80) != 0
        at += 11
        if at + length != size:
            return False
        code: cython.int
        while at < size:
            if at + 4 > size:
                return False
            code = data[at] << 8 | data[at + 1]
            length = data[at + 2] << 8 | data[at + 3]
            at += 4
            if at + length > size:
                return False
            if code == 8:
                if self._subnet_at or not self._takes_subnet(data, at, length):
                    return False
                self._subnet_at = at
                self._subnet_size = length
            elif code == 10:
                if self._cookie_at or (length != 8 and not 16 <= length <= 40):
                    return False
                self._cookie_at = at
                self._cookie_size = length
            elif code == 11 or (code == 3 and self._nsid):
                return False
            at += length
        return True

    @cython.cfunc
    @cython.exceptval(check=False)
    def _takes_subnet(self, data: cython.p_uchar, at: cython.int, length: cython.int) -> cython.bint:
        """Whether a client subnet is well-formed (RFC 7871 §6), and of no IPv6 that may map IPv4."""
        if length < 4 or data[at] or data[at + 3]:
            return False
        source: cython.int = data[at + 2]
        longest: cython.int = 32 if data[at + 1] == 1 else 128 if data[at + 1] == 2 else -1
        if source > longest or length != 4 + (source + 7) // 8:
            return False
        if source & 7 and data[at + length - 1] & (0xFF >> (source & 7)):
            return False
        return longest == 32 or (length > 4 and data[at + 4] != 0)

    @cython.cfunc
    def _steered(self, family: cython.int, data: cython.p_uchar, source: cython.p_uchar,
                 octets: cython.int) -> Ready | None:  # fmt: skip
        """The ready answer for the client, whose scope is noted; None where there is none yet."""
        step: cython.int
        ended: cython.ulonglong
        count: cython.int
        at: cython.int
        network: cython.ulonglong = 0
        scoped: cython.bint = self._subnet and self._subnet_at > 0 and data[self._subnet_at + 2] > 0
        tree: Tree | None = self.tree
        if tree is None:
            return None
        if scoped:
            at = self._subnet_at + 4
            wide: cython.int = 4 if data[self._subnet_at + 1] == 1 else 16
            for step in range(wide):
                self._six[step] = data[at + step] if step < self._subnet_size - 4 else 0
            count = min(self._subnet_size - 4, 3 if wide == 4 else 6)
            for step in range(count):
                network = network << 8 | self._six[step]
            if cython.compiled:
                ended = tree.walk(cython.address(self._six[0]), wide)
            else:
                ended = tree.walk(self._six, wide)
        else:
            count = 3 if octets == 4 else 6
            for step in range(count):
                network = network << 8 | source[step]
            ended = tree.walk(source, octets)
        leaf: Leaf | None = self._leaves.get(ended >> 8)
        if leaf is None or (self._special and (count, network) in self._special):
            return None
        if scoped and not leaf.located:
            leaf = self._leaves.get(tree.walk(source, octets) >> 8)
            if leaf is None:
                return None
        prefix: cython.int = ended & 0xFF
        if prefix == NOWHERE:
            return None
        ready: Ready | None = leaf.ready.get(family)
        if ready is None:
            among: dict[int, Ready] | None = leaf.spread.get(family)
            if among is None:
                return None
            ready = among.get(bucket_of(network, count))
            prefix = max(prefix, 8 * count)
        self._scope = prefix if scoped and self._split else 0
        return ready

    @cython.cfunc
    def _write(self, ready: Ready, data: cython.p_uchar, size: cython.int, end: cython.int,
               source: cython.p_uchar, octets: cython.int, out: cython.p_uchar) -> cython.int:  # fmt: skip
        """The reply in `out`, if it may be as long as it is; its length, or LEFT."""
        body: bytes = ready.body
        length: cython.int = len(body)
        cookie: bytes = b""
        limit: cython.int = CLASSIC_SIZE
        total: cython.int = end + length
        step: cython.int
        self._proven = False
        if self._has_opt:
            limit = min(max(self._size, CLASSIC_SIZE), OUR_SIZE)
            if self._cookie_at and self._cookies is not None:
                cookie = self._cookie(data, source, octets)
                total += 4 + len(cookie)
            total += 11 + (4 + self._subnet_size if self._subnet_at and self._subnet else 0)
        if not self._proven:
            limit = min(limit, cython.cast(cython.int, int(size * self._amplification)))
        if total > limit:
            return LEFT
        out[0] = data[0]
        out[1] = data[1]
        out[2] = 0x80 | (data[2] & 0x01) | (ready.flags >> 8)
        out[3] = (data[3] & 0x10) | (ready.flags & 0x0F)
        out[4] = out[6] = out[8] = out[10] = 0
        out[5] = 1
        out[7] = ready.answers
        out[9] = ready.authority
        out[11] = ready.additional + (1 if self._has_opt else 0)
        for step in range(12, end):
            out[step] = data[step]
        for step in range(length):
            out[end + step] = body[step]
        if ready.apex:
            out[end] = (0xC000 + end - 4 - ready.apex) >> 8
            out[end + 1] = (0xC000 + end - 4 - ready.apex) & 0xFF
        if self._has_opt:
            self._write_opt(data, end + length, total, cookie, out)
        ready.hits += 1
        return total

    @cython.cfunc
    def _cookie(self, data: cython.p_uchar, source: cython.p_uchar, octets: cython.int) -> bytes:
        """The cookie to answer with; whether the client's proves him is noted."""
        begin: cython.int = self._cookie_at
        came: bytes
        address: bytes
        if cython.compiled:
            came = cython.cast(cython.p_char, data)[begin : begin + self._cookie_size]
            address = cython.cast(cython.p_char, source)[:octets]
        else:
            came = bytes(data[begin : begin + self._cookie_size])
            address = bytes(source[:octets])
        assert self._cookies is not None
        answered, proven = self._cookies.answer(came, address, self.now)
        self._proven = proven
        return answered

    @cython.cfunc
    @cython.exceptval(check=False)
    def _write_opt(self, data: cython.p_uchar, at: cython.int, total: cython.int, cookie: bytes,
                   out: cython.p_uchar) -> cython.void:  # fmt: skip
        """The OPT record at `at`, up to `total`: the subnet with its scope, then the cookie."""
        step: cython.int
        rest: cython.int = total - at - 11
        for step in range(at, at + 11):
            out[step] = 0
        out[at + 2] = 41
        out[at + 3] = OUR_SIZE >> 8
        out[at + 4] = OUR_SIZE & 0xFF
        out[at + 7] = 0x80 if self._do else 0
        out[at + 9] = rest >> 8
        out[at + 10] = rest & 0xFF
        at += 11
        if self._subnet_at and self._subnet:
            out[at] = out[at + 2] = 0
            out[at + 1] = 8
            out[at + 3] = self._subnet_size
            for step in range(self._subnet_size):
                out[at + 4 + step] = data[self._subnet_at + step]
            out[at + 7] = self._scope
            at += 4 + self._subnet_size
        if cookie:
            out[at] = out[at + 2] = 0
            out[at + 1] = 10
            out[at + 3] = len(cookie)
            for step in range(len(cookie)):
                out[at + 4 + step] = cookie[step]


COMPILED: bool = cython.compiled
