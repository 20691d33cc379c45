"""What the lane learns from the Responder: its decisions, as records behind a question."""

from __future__ import annotations

import mmap
from dataclasses import replace
from pathlib import Path

from geo.dns.answer import Decision, Responder
from geo.dns.edns import PAIR
from geo.dns.lane import NOWHERE, Lane, Ready, Terms, Tree
from geo.dns.message import HEADER, HEADER_SIZE, Query, Rcode, Type, parse, render
from geo.dns.zone import parents
from geo.lookup import Database, Lookup
from geo.nearest import bucket

_LONGEST = 65535
About = tuple[int, Rcode, str | None]  # type, code, node: what metrics want to know of a reply


def tree_of(lookup: Lookup) -> Tree | None:
    """The search tree of a database's file, None where `lookup` has none that is the same."""
    if not isinstance(lookup, Database) or not lookup.is_current():
        return None
    shape = lookup.shape
    with Path(lookup.path).open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    return Tree(data, shape.nodes, shape.bits, shape.version) if lookup.is_current() else None


class Lessons:
    """A lane for one Responder, and what it is taught."""

    def __init__(self, responder: Responder, tree: Tree | None) -> None:
        manners = responder.manners
        terms = Terms(
            subnet=manners.subnet,
            has_nsid=bool(manners.nsid),
            amplification=manners.amplification,
            cookies=manners.cookies,
            split=responder.steering.is_split,
            signed=responder.signing.is_needed,
        )
        self.lane = Lane(tree, terms)
        self._responder = responder
        self._tree = tree if tree is not None and tree.usable else None
        self._families: dict[tuple[bytes, int], int] = {}

    def teach(self, packet: bytes, source: bytes, address: str) -> None:
        """Teaches the lane to answer `packet` from `source` (`address` in text form), if it ever may."""
        query = parse(packet)
        if not isinstance(query, Query) or query.question.type == Type.ANY:
            return
        question = query.question
        stands = self._responder.stands(question.key)
        decision = self._responder.decide(query, address)
        if stands is False or decision.rcode not in (Rcode.NOERROR, Rcode.NXDOMAIN):
            return
        plain = replace(query, edns=None, question=replace(question, name=question.key))
        key = question.key + PAIR.pack(question.type, question.cls)
        if self._responder.signing.is_needed and query.edns is not None and query.edns.do:
            key += b"\x01"
        if decision.client is None:
            self.lane.learn(key, _ready(plain, decision, 0))
        elif self._tree is not None:
            self._teach_steered(query, plain, decision, source, key, is_host=stands is None)

    def _teach_steered(
        self, query: Query, plain: Query, decision: Decision, source: bytes, key: bytes, *, is_host: bool
    ) -> None:
        assert self._tree is not None
        assert decision.client is not None
        client, question = decision.client, query.question
        apex = next(name for name in parents(question.key) if name in self._responder.areas)
        shares = is_host and apex != b"\0" and len(key) == len(question.key) + PAIR.size  # no signature
        shares = shares and all(record.owner == question.key for record in decision.answer)
        about = (apex, question.type) if shares else (key, 0)
        family = self._families.setdefault(about, len(self._families))
        subnet = query.edns.subnet if query.edns is not None else None
        if client.scoped:
            assert subnet is not None
            wide = 4 if subnet.family == 1 else 16
            leaf, depth = self._tree.find(subnet.address.ljust(wide, b"\0"))
            if depth == NOWHERE:
                return
            self.lane.know(leaf, not client.by_resolver)
            if client.by_resolver:
                leaf, _ = self._tree.find(source)
        else:
            leaf, depth = self._tree.find(source)
            if depth == NOWHERE:
                return
        located = client.point is not None
        ready = _ready(plain, decision, len(apex) if shares and not decision.answer else 0)
        number = bucket(client.network) if decision.spread else -1
        self.lane.learn(key, ready, family, leaf, located=located, bucket=number)


def _ready(plain: Query, decision: Decision, apex: int) -> Ready:
    """A decision as the records behind the question `plain`."""
    wire = render(
        plain,
        decision.rcode,
        sections=(decision.answer, decision.authority, decision.additional),
        authoritative=decision.authoritative,
        limit=_LONGEST,
    )
    _, flags, _, *counts = HEADER.unpack_from(wire)
    body = wire[HEADER_SIZE + len(plain.question.name) + PAIR.size :]
    about: About = (plain.question.type, decision.rcode, decision.node)
    return Ready(body, flags & 0x040F, (counts[0], counts[1], counts[2]), apex, about)
