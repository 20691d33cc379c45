"""The inventory: every change is a movement under the SKU's lock; what pages are told goes with it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from typing import Any

from sqlalchemy import func, insert, select, update

from origin.contract import Hold, Host, OutOfStock, Shown, Statements, stock_tag
from origin.tracking.inventory.levels import Band, Kind, Level, Part, Told, announced, band, promised, spread
from origin.tracking.inventory.sheet import Line, Place, Wrong
from origin.tracking.inventory.tables import holds, items, levels, locations, movements, parts


class Refusal(ValueError):
    """A change is refused and nothing of it was done; `field` is what is wrong."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field


class _NotKept(Exception):
    """Ends a transaction without a trace."""


class Inventory:
    """Implements `Stock`. `quiet` is how long better news of a SKU wait after the last, in seconds."""

    def __init__(self, host: Host, quiet: float, low: int) -> None:
        self._host = host
        self._quiet = quiet
        self._low = low

    # Stock ----------------------------------------------------------------------------------------

    async def available(self, sku: str) -> int:
        """How many can be promised. LookupError: no such SKU."""
        async with self._host.read() as connection:
            await self._item(connection, sku)
            return promised(await self._levels(connection, sku))

    async def shown(self) -> Mapping[str, Shown]:
        """What pages were told of each SKU last, and how many can be promised."""
        async with self._host.read() as connection:
            told = (await connection.execute(select(items.c.sku, items.c.band))).all()
            found: dict[str, list[Level]] = {row.sku: [] for row in told}
            for row in await connection.execute(select(levels)):
                found.setdefault(row.sku, []).append(
                    Level(row.location, row.on_hand, row.reserved, row.safety)
                )
        return {row.sku: Shown(promised(found[row.sku]), row.band) for row in told}

    async def hold(self, sku: str, quantity: int, seconds: float) -> Hold:
        """Reserves `quantity`, at one location if one has as many. Raises OutOfStock, of unknown SKUs too."""
        if quantity < 1:
            raise ValueError(f"quantity: got {quantity}, expected 1 or more")
        try:
            left = await self.available(sku)
        except LookupError:
            left = 0
        if left < quantity:  # most of a crowd is turned away without waiting for the SKU's lock
            raise OutOfStock(sku, left)
        kept = Hold(secrets.token_hex(16), sku, quantity, self._host.now() + seconds)
        async with self._changing(sku) as connection:
            found = await self._levels(connection, sku)
            chosen = spread(found, quantity)
            if not chosen:
                raise OutOfStock(sku, promised(found))
            await connection.execute(
                insert(holds).values(id=kept.id, sku=sku, quantity=quantity, until=kept.until, state="held")
            )
            for part in chosen:
                if not await self._reserved(connection, sku, part):
                    raise OutOfStock(sku, promised(found))
                await connection.execute(
                    insert(parts).values(hold=kept.id, location=part.location, quantity=part.quantity)
                )
                await self._moved(connection, sku, part.location, "reserved", 0, part.quantity, kept.id)
        return kept

    async def commit(self, hold: str) -> None:
        """The held goods are an order's: no lifetime any more. LookupError: no such hold, or it is over."""
        async with self._host.write() as connection:
            taken = await connection.execute(
                update(holds).where(holds.c.id == hold, holds.c.state == "held").values(state="ordered")
            )
            if not taken.rowcount:
                raise LookupError(f"no hold {hold}")

    async def release(self, hold: str) -> None:
        """What is held can be promised again; a hold that is over, or ordered, is left alone."""
        await self._end(hold, "held", "released")

    async def pick(self, hold: str) -> None:
        """The ordered goods leave their shelves. LookupError: no such order's hold."""
        if not await self._end(hold, "ordered", "picked"):
            raise LookupError(f"hold: got {hold[:40]!r}, expected one that was ordered and not picked")

    async def expire(self) -> None:
        """Releases every hold whose time is over, each in a transaction of its own."""
        async with self._host.read() as connection:
            due = await connection.execute(
                select(holds.c.id).where(holds.c.state == "held", holds.c.until <= self._host.now())
            )
            over = list(due.scalars())
        for hold in over:
            await self.release(hold)

    async def _end(self, hold: str, before: str, after: Kind) -> bool:
        """Ends a hold in state `before`; whether it was in it."""
        async with self._host.read() as connection:
            sku = (await connection.execute(select(holds.c.sku).where(holds.c.id == hold))).scalar()
        if sku is None:
            return False
        async with self._changing(sku) as connection:
            ended = await connection.execute(
                update(holds).where(holds.c.id == hold, holds.c.state == before).values(state=after)
            )
            if not ended.rowcount:
                return False
            for part in (await connection.execute(select(parts).where(parts.c.hold == hold))).all():
                gone = -part.quantity if after == "picked" else 0
                await self._shift(connection, sku, part.location, gone, -part.quantity)
                await self._moved(connection, sku, part.location, after, gone, -part.quantity, hold)
        return True

    # What comes in, and what is counted -----------------------------------------------------------

    async def place(self, place: Place) -> None:
        """A location, new or with other particulars."""
        values = {
            "name": place.name, "kind": place.kind, "country": place.country,
            "latitude": place.latitude, "longitude": place.longitude,
        }  # fmt: skip
        async with self._host.write() as connection:
            await connection.lock("tracking-locations")
            known = await connection.execute(
                update(locations).where(locations.c.code == place.code).values(**values)
            )
            if not known.rowcount:
                await connection.execute(insert(locations).values(code=place.code, **values))

    async def places(self) -> list[dict[str, Any]]:
        """All locations."""
        async with self._host.read() as connection:
            found = await connection.execute(select(locations).order_by(locations.c.code))
            return [dict(row) for row in found.mappings()]

    async def receive(self, sku: str, location: str, quantity: int, reference: str) -> None:
        """`quantity` more pieces lie at `location`. Raises Refusal; LookupError: no such SKU."""
        if not 0 < quantity <= 10**6:
            raise Refusal("quantity", f"got {quantity}, expected 1 to 1000000")
        async with self._changing(sku) as connection:
            known = set((await connection.execute(select(locations.c.code))).scalars())
            if location not in known:
                raise Refusal("location", _unknown(location, known))
            await self._open(connection, sku, location)
            await self._shift(connection, sku, location, quantity, 0)
            await self._moved(connection, sku, location, "received", quantity, 0, reference)

    async def count(self, lines: Sequence[tuple[int, Line]], by: str, *, preview: bool) -> list[Wrong]:
        """Each numbered line says how many pieces there are, whatever was thought; unknown SKUs are taken in.

        What is wrong with which line; then, and in a preview, nothing changes.
        """
        try:
            async with self._host.write() as connection:
                wrong = await self._count(connection, lines, by)
                if wrong or preview:
                    raise _NotKept
        except _NotKept:
            return wrong
        return []

    async def _count(self, connection: Statements, lines: Sequence[tuple[int, Line]], by: str) -> list[Wrong]:
        wrong: list[Wrong] = []
        known = set((await connection.execute(select(locations.c.code))).scalars())
        for sku, group in groupby(sorted(lines, key=lambda one: one[1].sku), key=lambda one: one[1].sku):
            await connection.lock(
                f"tracking-sku-{sku}"
            )  # in their order: two lists never wait for each other
            for number, line in group:
                if line.location not in known:
                    wrong.append(Wrong(number, "location", _unknown(line.location, known)))
                    continue
                await self._take_in(connection, line)
                refusal = await self._counted(connection, line, by)
                if refusal:
                    wrong.append(Wrong(number, "quantity", refusal))
            if not wrong:
                await self._announce(connection, sku)
        return wrong

    async def _counted(self, connection: Statements, line: Line, by: str) -> str:
        """Sets the level to what was counted; or says why not."""
        await self._open(connection, line.sku, line.location)
        found = await self._levels(connection, line.sku)
        here = next(one for one in found if one.location == line.location)
        if line.quantity < here.reserved:
            return f"got {line.quantity}, expected {here.reserved} or more: so many are reserved"
        delta = line.quantity - here.on_hand
        if line.safety is not None:
            await self._set_safety(connection, line.sku, line.location, line.safety)
        if delta:
            await self._shift(connection, line.sku, line.location, delta, 0)
            await self._moved(connection, line.sku, line.location, "counted", delta, 0, by)
        return ""

    async def stock(self) -> list[dict[str, Any]]:
        """Every SKU with its levels by location."""
        async with self._host.read() as connection:
            rows = (await connection.execute(select(items).order_by(items.c.sku))).all()
            found: dict[str, list[Level]] = {row.sku: [] for row in rows}
            for row in (await connection.execute(select(levels).order_by(levels.c.location))).all():
                found[row.sku].append(Level(row.location, row.on_hand, row.reserved, row.safety))
        return [
            {
                "sku": row.sku,
                "gtin": row.gtin,
                "available": promised(found[row.sku]),
                "says": row.band,
                "reorder": promised(found[row.sku]) <= row.reorder_point,
                "levels": [
                    {
                        "location": one.location, "on_hand": one.on_hand,
                        "reserved": one.reserved, "safety": one.safety,
                    }
                    for one in found[row.sku]
                ],
            }
            for row in rows
        ]  # fmt: skip

    async def history(self, sku: str, most: int) -> list[dict[str, Any]]:
        """The SKU's last movements, the newest first. LookupError: no such SKU."""
        async with self._host.read() as connection:
            await self._item(connection, sku)
            asked = select(movements).where(movements.c.sku == sku).order_by(movements.c.number.desc())
            return [dict(row) for row in (await connection.execute(asked.limit(most))).mappings()]

    async def settle(self) -> None:
        """Tells pages the better news that had to wait."""
        async with self._host.read() as connection:
            due = await connection.execute(select(items.c.sku).where(items.c.band_due <= self._host.now()))
            waiting = list(due.scalars())
        for sku in waiting:
            async with self._changing(sku):
                pass  # leaving it looks at what pages say

    # A change -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _changing(self, sku: str) -> AsyncIterator[Statements]:
        """A transaction that alone changes `sku`; at its end pages are told what they must be."""
        async with self._host.write() as connection:
            await connection.lock(f"tracking-sku-{sku}")
            await self._item(connection, sku)
            yield connection
            await self._announce(connection, sku)

    async def _announce(self, connection: Statements, sku: str) -> None:
        item = await self._item(connection, sku)
        now_is = band(promised(await self._levels(connection, sku)), item.low)
        told = Told(item.band, item.band_at, item.band_due)
        then, purge = announced(told, now_is, self._host.now(), self._quiet)
        if then != told:
            await connection.execute(
                update(items)
                .where(items.c.sku == sku)
                .values(band=then.band, band_at=then.at, band_due=then.due)
            )
        if purge:
            await self._tell(connection, sku, told.band, then.band)

    async def _tell(self, connection: Statements, sku: str, before: Band, after: Band) -> None:
        await self._host.events.purge(connection, stock_tag(sku))
        await self._host.events.emit(connection, "stock.crossed", {"sku": sku, "from": before, "to": after})

    async def _reserved(self, connection: Statements, sku: str, part: Part) -> bool:
        """One conditional update: whether there was as much to promise."""
        taken = await connection.execute(
            update(levels)
            .where(
                levels.c.sku == sku,
                levels.c.location == part.location,
                levels.c.on_hand - levels.c.reserved - levels.c.safety >= part.quantity,
            )
            .values(reserved=levels.c.reserved + part.quantity)
        )
        return bool(taken.rowcount)

    async def _shift(
        self, connection: Statements, sku: str, location: str, on_hand: int, reserved: int
    ) -> None:
        await connection.execute(
            update(levels)
            .where(levels.c.sku == sku, levels.c.location == location)
            .values(on_hand=levels.c.on_hand + on_hand, reserved=levels.c.reserved + reserved)
        )

    async def _set_safety(self, connection: Statements, sku: str, location: str, safety: int) -> None:
        await connection.execute(
            update(levels).where(levels.c.sku == sku, levels.c.location == location).values(safety=safety)
        )

    async def _moved(
        self,
        connection: Statements,
        sku: str,
        location: str,
        kind: Kind,
        on_hand: int,
        reserved: int,
        reference: str,
    ) -> None:
        await connection.execute(
            insert(movements).values(
                sku=sku,
                location=location,
                kind=kind,
                on_hand=on_hand,
                reserved=reserved,
                reference=reference,
                at=self._host.now(),
            )
        )

    async def _item(self, connection: Statements, sku: str) -> Any:
        row = (await connection.execute(select(items).where(items.c.sku == sku))).one_or_none()
        if row is None:
            raise LookupError(f"sku: no stock of {sku[:63]} is kept")
        return row

    async def _levels(self, connection: Statements, sku: str) -> Sequence[Level]:
        found = await connection.execute(select(levels).where(levels.c.sku == sku))
        return [Level(row.location, row.on_hand, row.reserved, row.safety) for row in found]

    async def _open(self, connection: Statements, sku: str, location: str) -> None:
        asked = select(func.count()).where(levels.c.sku == sku, levels.c.location == location)
        if not (await connection.execute(asked)).scalar():
            await connection.execute(
                insert(levels).values(sku=sku, location=location, on_hand=0, reserved=0, safety=0)
            )

    async def _take_in(self, connection: Statements, line: Line) -> None:
        """The SKU of `line`, new or with other particulars."""
        said = {"gtin": line.gtin, "low": line.low, "reorder_point": line.reorder_point}
        changes = {name: value for name, value in said.items() if value is not None}
        asked = select(func.count()).where(items.c.sku == line.sku)
        if (await connection.execute(asked)).scalar():
            if changes:
                await connection.execute(update(items).where(items.c.sku == line.sku).values(**changes))
            return
        first = {"low": self._low, "reorder_point": 0, "band": "out", "band_at": 0.0, **changes}
        await connection.execute(insert(items).values(sku=line.sku, **first))


def _unknown(location: str, known: Collection[str]) -> str:
    expected = ", ".join(sorted(known)[:20]) or "one that was added before: there is none yet"
    return f"got {location[:40]!r}, expected one of {expected}"
