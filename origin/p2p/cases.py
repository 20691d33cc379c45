"""Moderation: members report (NIP-56), a person decides with a reason, the author may appeal (NIP-22)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from sqlalchemy import (
    BigInteger,
    Column,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from origin.contract import Host, Statements
from origin.p2p.event import LATEST, LISTING, REPORT, Event, address_of, read
from origin.p2p.listing import ref_of
from origin.p2p.tables import events, gone, listings

COMMENT = 1111
KINDS = ("nudity", "malware", "profanity", "illegal", "spam", "impersonation", "other")
LONGEST_TEXT = 1000
MOST_WAITING = 100

Action = Literal["takedown", "dismiss", "restore"]
ACTIONS: tuple[Action, ...] = get_args(Action)

metadata = MetaData()
cases = Table(
    "p2p_cases",
    metadata,
    Column("ref", String(20), primary_key=True),
    Column("address", Text, nullable=False),
    Column("pubkey", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("state", String(12), nullable=False),  # open | taken_down | dismissed | appealed
    Column("reason", Text, nullable=False),
    Column("appeal", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("decided_by", String(120), nullable=False),
    Column("decided_at", BigInteger),
)
reports = Table(
    "p2p_reports",
    metadata,
    Column("ref", String(20), primary_key=True),
    Column("reporter", String(64), primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("text", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)


class NoSuchCase(LookupError):
    """There is none, or none in a state that the action fits; the text says what was got and expected."""


async def heard(connection: Statements, event: Event) -> None:
    """A new event, in the transaction that keeps it: it may be a report, or an appeal."""
    if event.kind == REPORT:
        await _reported(connection, event)
    elif event.kind == COMMENT:
        mine = (cases.c.address.in_(event.values("a") + event.values("A")), cases.c.pubkey == event.pubkey)
        await connection.execute(
            update(cases)
            .where(*mine, cases.c.state == "taken_down", cases.c.appeal == "")
            .values(state="appealed", appeal=event.content[:LONGEST_TEXT] or "-")
        )


async def _reported(connection: Statements, event: Event) -> None:
    """Each key counts once for a listing; what was dismissed opens again with a new reporter."""
    named = {tag[1]: (tag[2:] or ["other"])[0] for tag in event.tags if len(tag) > 1 and tag[0] == "e"}
    found = await connection.execute(
        select(events.c.id, events.c.raw).where(events.c.id.in_(list(named)), events.c.kind == LISTING)
    )
    for row in found:
        listing = read(row.raw.encode())
        address, kind = address_of(listing) or "", named[row.id]
        ref = ref_of(address)
        known = await connection.execute(select(cases.c.state).where(cases.c.ref == ref))
        state = known.scalar()
        again = await connection.execute(
            select(reports.c.ref).where(reports.c.ref == ref, reports.c.reporter == event.pubkey)
        )
        if again.first() is not None:
            continue
        if state is None:
            await connection.execute(insert(cases).values(_opened(ref, address, listing, event.created_at)))
        elif state == "dismissed":
            await connection.execute(update(cases).where(cases.c.ref == ref).values(state="open"))
        await connection.execute(
            insert(reports).values(
                ref=ref,
                reporter=event.pubkey,
                kind=kind if kind in KINDS else "other",
                text=event.content[:LONGEST_TEXT],
                at=event.created_at,
            )
        )


def _opened(ref: str, address: str, listing: Event, at: int) -> dict[str, Any]:
    return {
        "ref": ref,
        "address": address,
        "pubkey": listing.pubkey,
        "title": listing.first("title") or "",
        "state": "open",
        "reason": "",
        "appeal": "",
        "opened_at": at,
        "decided_by": "",
    }


async def why_gone(connection: Statements, address: str | None) -> str:
    """Why nothing may stand at an address: the reason of its takedown, or its author's wish."""
    if address is not None:
        taken = cases.c.state.in_(("taken_down", "appealed"))
        found = await connection.execute(select(cases.c.reason).where(cases.c.ref == ref_of(address), taken))
        reason = found.scalar()
        if reason is not None:
            return f"blocked: taken down: {reason}"
    return "blocked: its author deleted it"


class Moderation:
    """What a person with the permission does."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def waiting(self) -> Sequence[Mapping[str, Any]]:
        """Open cases and appeals, the most reported first, with their reports by kind."""
        async with self._host.read() as connection:
            rows = await connection.execute(
                select(cases, func.count(reports.c.reporter).label("reports"))
                .outerjoin(reports, reports.c.ref == cases.c.ref)
                .where(cases.c.state.in_(("open", "appealed")))
                .group_by(*cases.c)
                .order_by(func.count(reports.c.reporter).desc(), cases.c.opened_at)
                .limit(MOST_WAITING)
            )
            found = [dict(row._mapping) for row in rows]
            for one in found:
                said = await connection.execute(
                    select(reports.c.kind, reports.c.text).where(reports.c.ref == one["ref"]).limit(20)
                )
                one["said"] = [dict(row._mapping) for row in said]
        return found

    async def open(self, connection: Statements, ref: str) -> None:
        """Opens a case about a listing that is shown, though nobody reported it."""
        known = await connection.execute(select(cases.c.state).where(cases.c.ref == ref))
        state = known.scalar()
        if state == "dismissed":
            await connection.execute(update(cases).where(cases.c.ref == ref).values(state="open"))
        if state is not None:
            return
        found = await connection.execute(
            select(events.c.raw)
            .join(listings, listings.c.event == events.c.number)
            .where(listings.c.ref == ref)
        )
        raw = found.scalar()
        if raw is not None:
            event = read(raw.encode())
            opened = _opened(ref, address_of(event) or "", event, int(self._host.now()))
            await connection.execute(insert(cases).values(opened))

    async def decide(self, connection: Statements, ref: str, action: Action, reason: str, by: str) -> str:
        """Writes a decision down in the caller's transaction; the address concerned. Raises NoSuchCase."""
        fits = {
            "takedown": ("open",),
            "dismiss": ("open", "appealed"),
            "restore": ("taken_down", "appealed"),
        }[action]
        state = {"takedown": "taken_down", "dismiss": "dismissed", "restore": "dismissed"}[action]
        row = (await connection.execute(select(cases).where(cases.c.ref == ref))).first()
        if row is None or row.state not in fits:
            got = "no case" if row is None else f"a case that is {row.state}"
            raise NoSuchCase(f"ref: got {got}, expected one that is {' or '.join(fits)}")
        if action == "dismiss" and row.state == "appealed":
            state = "taken_down"  # the appeal is dismissed, and there is no second one
        await connection.execute(
            update(cases)
            .where(cases.c.ref == ref)
            .values(
                state=state,
                reason=row.reason if state == "taken_down" and action == "dismiss" else reason,
                decided_by=by,
                decided_at=int(self._host.now()),
            )
        )
        if action == "restore":
            await connection.execute(
                delete(gone).where(
                    gone.c.target == row.address, gone.c.pubkey == row.pubkey, gone.c.until == LATEST
                )
            )
        return str(row.address)
