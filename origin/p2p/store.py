"""Events in the database: replaced, deleted and expired as the NIPs say, found by filters."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, union, update

from origin.contract import Host, Statements
from origin.p2p.cases import heard, why_gone
from origin.p2p.event import DELETION, LATEST, LISTING, Event, address_of, expires_at, read
from origin.p2p.filters import LONGEST_VALUE, Filter
from origin.p2p.geohash import distance
from origin.p2p.listing import Listing, check
from origin.p2p.searching import Wanted, matching, offered, stored, unexpired
from origin.p2p.tables import events, gone, listings, tags, words

LONGEST_ADDRESS = 300
EXPIRED_AT_ONCE = 500
NEAR_READ = 500  # listings of a box that are measured


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of an event: whether it is accepted, whether it is new, and NIP-01's word about it."""

    accepted: bool
    new: bool
    why: str = ""


class Store:
    """All that is kept. Whatever changes a listing asks the fleet to forget its pages, in one transaction."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def keep(self, connection: Statements, event: Event, listing: Listing | None) -> Kept:
        """Stores a verified event in the caller's transaction."""
        address = address_of(event)
        if (await connection.execute(select(events.c.id).where(events.c.id == event.id))).first():
            return Kept(True, False, "duplicate: already have this event")
        if await _is_gone(connection, event, address):
            return Kept(False, False, await why_gone(connection, address))
        if address is not None:
            standing = await connection.execute(
                select(events.c.number, events.c.created_at, events.c.id).where(events.c.address == address)
            )
            row = standing.first()
            if row is not None:
                if (row.created_at, event.id) > (event.created_at, row.id):  # NIP-01: of a tie the lower id
                    return Kept(True, False, "duplicate: a newer one stands at this address")
                await self._remove(connection, [row.number])
        await self._insert(connection, event, address, listing)
        if event.kind == DELETION:
            await self._delete(connection, event)
        await heard(connection, event)
        return Kept(True, True)

    async def _insert(
        self, connection: Statements, event: Event, address: str | None, listing: Listing | None
    ) -> None:
        made = await connection.execute(
            insert(events).values(
                id=event.id,
                pubkey=event.pubkey,
                created_at=event.created_at,
                kind=event.kind,
                address=address,
                expires_at=expires_at(event),
                raw=event.encoded().decode(),
            )
        )
        key = made.inserted_primary_key
        assert key is not None
        number = int(key[0])
        found = _indexed(event)
        if found:
            rows = [{"event": number, "name": name, "value": value} for name, value in found]
            await connection.execute(insert(tags), rows)
        if listing is not None:
            await self._list(connection, number, listing)

    async def _list(self, connection: Statements, number: int, listing: Listing) -> None:
        latitude, longitude = listing.place or (None, None)
        await connection.execute(
            insert(listings).values(
                event=number,
                ref=listing.ref,
                status=listing.status,
                price=listing.price.minor,
                currency=listing.price.currency,
                geohash=listing.geohash,
                latitude=latitude,
                longitude=longitude,
                published_at=listing.published_at,
                cache_tags=list(listing.tags()),
            )
        )
        said = (listing.title, listing.summary, listing.text, listing.location, *listing.categories)
        await connection.execute(insert(words).values(rowid=number, body=" ".join(said)))
        await self._host.events.purge(connection, *listing.tags())

    async def _delete(self, connection: Statements, event: Event) -> None:
        """What its author names is gone, and stays gone (NIP-09); other people's events are left alone."""
        ids = [one for one in event.values("e") if len(one) == 64]
        places = [
            one
            for one in event.values("a")
            if len(one) <= LONGEST_ADDRESS and one.split(":")[1:2] == [event.pubkey]
        ]
        for target in dict.fromkeys((*ids, *places)):
            mine = (gone.c.target == target, gone.c.pubkey == event.pubkey)
            known = (await connection.execute(select(gone.c.until).where(*mine))).scalar()
            if known is None:
                row = {"target": target, "pubkey": event.pubkey, "until": event.created_at}
                await connection.execute(insert(gone).values(row))
            elif known < event.created_at:
                await connection.execute(update(gone).where(*mine).values(until=event.created_at))
        named = events.c.id.in_(ids) | (
            events.c.address.in_(places) & (events.c.created_at <= event.created_at)
        )
        found = await connection.execute(
            select(events.c.number).where(events.c.pubkey == event.pubkey, events.c.kind != DELETION, named)
        )
        await self._remove(connection, [row.number for row in found])

    async def _remove(self, connection: Statements, numbers: Sequence[int]) -> None:
        if not numbers:
            return
        shown = await connection.execute(select(listings.c.cache_tags).where(listings.c.event.in_(numbers)))
        await self._host.events.purge(connection, *(tag for row in shown for tag in row.cache_tags))
        await connection.execute(delete(words).where(words.c.rowid.in_(numbers)))
        await connection.execute(delete(events).where(events.c.number.in_(numbers)))

    async def take_down(self, connection: Statements, address: str) -> None:
        """Removes what stands at an address, and keeps it free, in the caller's transaction."""
        pubkey = address.split(":")[1]
        mine = (gone.c.target == address, gone.c.pubkey == pubkey)
        await connection.execute(delete(gone).where(*mine))
        await connection.execute(insert(gone).values(target=address, pubkey=pubkey, until=LATEST))
        found = await connection.execute(select(events.c.number).where(events.c.address == address))
        await self._remove(connection, [row.number for row in found])

    async def expire(self) -> None:
        """Forgets what is over (NIP-40)."""
        async with self._host.write() as connection:
            over = await connection.execute(
                select(events.c.number)
                .where(events.c.expires_at <= int(self._host.now()))
                .limit(EXPIRED_AT_ONCE)
            )
            await self._remove(connection, [row.number for row in over])

    async def find(self, filters: Iterable[Filter], most: int) -> list[str]:
        """What is stored and asked for, each once, as JSON: filter by filter."""
        found: dict[str, None] = {}
        async with self._host.read() as connection:
            for asked in filters:
                rows = await connection.execute(stored(asked, self._host.now(), most))
                found |= dict.fromkeys(row.raw for row in rows)
        return list(found)

    async def count(self, filters: Iterable[Filter]) -> int:
        """How many events are asked for (NIP-45)."""
        united = union(*(matching(asked, self._host.now()) for asked in filters)).subquery()
        async with self._host.read() as connection:
            return int((await connection.execute(select(func.count()).select_from(united))).scalar_one())

    async def listing(self, ref: str) -> tuple[Event, Listing] | None:
        """A listing by its page's name, sold or not."""
        asked = (
            select(events.c.raw)
            .join(listings, listings.c.event == events.c.number)
            .where(listings.c.ref == ref, unexpired(self._host.now()))
        )
        async with self._host.read() as connection:
            row = (await connection.execute(asked)).first()
        return None if row is None else _opened(row)

    async def offered(self, wanted: Wanted, most: int) -> list[tuple[Event, Listing]]:
        """What is for sale as `wanted` says: the newest first, or the nearest where a place is given."""
        async with self._host.read() as connection:
            rows = await connection.execute(
                offered(wanted, self._host.now(), most if wanted.near is None else NEAR_READ)
            )
            found = [_opened(row) for row in rows]
        if wanted.near is None:
            return found
        measured = [(distance(wanted.near, one.place), event, one) for event, one in found if one.place]
        near = sorted((far, event.id, event, one) for far, event, one in measured if far <= wanted.km)
        return [(event, one) for _, _, event, one in near[:most]]


def _opened(row: Any) -> tuple[Event, Listing]:
    event = read(row.raw.encode())
    assert event.kind == LISTING
    listing = check(event)
    assert listing is not None
    return event, listing


def _indexed(event: Event) -> set[tuple[str, str]]:
    """The tags that filters can name: single letters (NIP-01). Categories are found in small letters."""
    found = {
        (tag[0], tag[1])
        for tag in event.tags
        if len(tag) > 1 and len(tag[0]) == 1 and tag[0].isascii() and len(tag[1]) <= LONGEST_VALUE
    }
    return found | {("t", value.strip().lower()) for name, value in found if name == "t"}


async def _is_gone(connection: Statements, event: Event, address: str | None) -> bool:
    rows = await connection.execute(
        select(gone).where(gone.c.pubkey == event.pubkey, gone.c.target.in_([event.id, address or event.id]))
    )
    return any(row.target == event.id or row.until >= event.created_at for row in rows)
