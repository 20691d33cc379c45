"""Logistics as a plugin: its declaration, and what the dashboard and commands ask of the inventory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

import click
from prometheus_client.core import Metric
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from origin.contract import (
    GET,
    Answer,
    CachePolicy,
    Call,
    Host,
    Page,
    Plugin,
    PluginDefaults,
    Route,
    Task,
    Webhook,
)
from origin.tracking.commands import stock
from origin.tracking.inventory.sheet import CODE, SKU, Place, Wrong, read_sheet
from origin.tracking.inventory.store import Inventory, Refusal
from origin.tracking.parcels.scans import WORDS, described
from origin.tracking.parcels.store import Parcels, tag_of

HERE = Path(__file__).parent
PERMISSION = "tracking.stock"
EXPIRE_EVERY = 5.0
SETTLE_EVERY = 0.5
MOST_HISTORY = 500
MOST_WRONG = 1_000
COUNT_EVERY = 15.0
MOST_ORPHANS = 200
FRESH = 300  # seconds that the edge keeps a parcel: a scan purges it at once
M = TypeVar("M", bound=BaseModel)


class TrackingSettings(BaseModel):
    """Whether this inventory sells, and how pages hear of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sells: bool = Field(
        False, description="Whether checkouts take their stock here, and not from the shop's simple one."
    )
    low: int = Field(
        5,
        ge=0,
        le=10**6,
        description="Up to this many pieces pages say that few are left; a SKU may differ.",
    )
    quiet_seconds: float = Field(
        2.0,
        ge=0,
        le=3600,
        description="How long better news of a SKU wait after the last, so that a storm makes one purge.",
    )


class _Sheet(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    text: str = Field(max_length=1_000_000)
    preview: bool = False
    by: str = Field("", max_length=120)  # where no user is signed


class _Delivery(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sku: str = Field(pattern=SKU)
    location: str = Field(pattern=CODE)
    quantity: int
    reference: str = Field("", max_length=120)


class _Parcel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    carrier: Literal["easypost", "aftership", "shippo"]
    code: str = Field(pattern=r"^[A-Za-z0-9-]{4,120}$")


@dataclass(slots=True)
class Tracking(PluginDefaults):
    """Stock by location that never oversells, and parcels that are shown as they are."""

    name: ClassVar[str] = "tracking"
    settings: ClassVar[type[BaseModel]] = TrackingSettings
    inventory: Inventory = field(init=False)
    parcels: Parcels = field(init=False)

    async def start(self, host: Host) -> None:
        """Offers stock to other plugins, where the operator wants that."""
        settings = host.settings
        assert isinstance(settings, TrackingSettings)
        self.inventory = Inventory(host, settings.quiet_seconds, settings.low)
        self.parcels = Parcels(host)
        if settings.sells:
            host.offer("stock", self.inventory)

    def migrations(self) -> Path:
        """Locations, levels, movements, holds and parcels."""
        return HERE / "migrations"

    def emits(self) -> Iterable[str]:
        """That pages say something else of a SKU's stock, and that a parcel has another status."""
        yield "stock.crossed"
        yield "parcel.moved"

    def routes(self) -> Iterable[Route]:
        """A parcel, by its number that nobody can guess."""
        yield GET("/tracking/{number}", self._show)

    def webhooks(self) -> Iterable[Webhook]:
        """What carriers say of parcels."""
        for carrier in WORDS:
            yield Webhook(carrier, partial(self.parcels.take, carrier))

    def tasks(self) -> Iterable[Task]:
        """Holds end in time, and news that had to wait go out."""
        yield Task("expire holds of stock", EXPIRE_EVERY, self.inventory.expire)
        yield Task("tell waiting stock news", SETTLE_EVERY, self.inventory.settle)
        yield Task("count orphans of carriers", COUNT_EVERY, self.parcels.orphans.count)

    def metrics(self) -> Iterable[Metric]:
        """Webhooks of carriers that no parcel could be given."""
        return self.parcels.orphans.metrics()

    def permissions(self) -> Iterable[str]:
        """Who may see and change stock."""
        yield PERMISSION

    def commands(self) -> Iterable[click.Command]:
        """`tepi origin stock …`."""
        yield stock

    def pages(self) -> Iterable[Page]:
        """The inventory as JSON, and what changes it."""
        titles = {"en": "Stock", "id": "Persediaan"}
        yield Page("/stock", titles, self._stock, PERMISSION)
        yield Page("/stock/{sku}", titles, self._history, PERMISSION)
        yield Page("/locations", titles, self._places, PERMISSION)
        yield Page("/locations", titles, self._place, PERMISSION, method="POST")
        yield Page("/count", titles, self._count, PERMISSION, method="POST")
        yield Page("/receive", titles, self._receive, PERMISSION, method="POST")
        yield Page("/pick/{hold}", titles, self._pick, PERMISSION, method="POST")
        yield Page("/parcels", {"en": "Parcels", "id": "Paket"}, self._expect, PERMISSION, method="POST")
        yield Page("/orphans", {"en": "Orphans", "id": "Tak bertuan"}, self._orphans, PERMISSION)

    async def _show(self, call: Call) -> Answer:
        number = call.match["number"]
        found = await self.parcels.parcel(number) if len(number) == 32 else None
        if found is None:
            return Answer(
                {"detail": "number: no such parcel"}, status=404, content_type="application/problem+json"
            )
        document = described(number, *found)
        policy = CachePolicy(FRESH, tags=(tag_of(number),))
        return Answer(document, policy, content_type="application/ld+json")

    async def _expect(self, call: Call) -> Answer:
        asked = await _read(call, _Parcel)
        if isinstance(asked, Answer):
            return asked
        return Answer({"number": await self.parcels.expect(asked.carrier, asked.code)})

    async def _orphans(self, _call: Call) -> Answer:
        return Answer({"orphans": await self.parcels.orphans.listed(MOST_ORPHANS)})

    async def _stock(self, _call: Call) -> Answer:
        return Answer({"stock": await self.inventory.stock()})

    async def _history(self, call: Call) -> Answer:
        try:
            return Answer({"movements": await self.inventory.history(call.match["sku"], MOST_HISTORY)})
        except LookupError as error:
            return _refused(404, error)

    async def _places(self, _call: Call) -> Answer:
        return Answer({"locations": await self.inventory.places()})

    async def _place(self, call: Call) -> Answer:
        asked = await _read(call, Place)
        if isinstance(asked, Answer):
            return asked
        await self.inventory.place(asked)
        return Answer({"code": asked.code})

    async def _count(self, call: Call) -> Answer:
        asked = await _read(call, _Sheet)
        if isinstance(asked, Answer):
            return asked
        sheet = read_sheet(asked.text)
        found = await self.inventory.count(
            sheet.lines, call.user or asked.by, preview=asked.preview or bool(sheet.wrong)
        )
        wrong = sorted((*sheet.wrong, *found), key=lambda one: one.row)
        said = {"rows": len(sheet.lines), "kept": not wrong and not asked.preview, "wrong": _shown(wrong)}
        if wrong and not asked.preview:
            return Answer({"detail": f"{len(wrong)} rows are wrong; nothing was changed", **said}, status=422)
        return Answer(said)

    async def _receive(self, call: Call) -> Answer:
        asked = await _read(call, _Delivery)
        if isinstance(asked, Answer):
            return asked
        try:
            await self.inventory.receive(asked.sku, asked.location, asked.quantity, asked.reference)
        except Refusal as error:
            return _refused(422, error)
        except LookupError as error:
            return _refused(404, error)
        return Answer({"sku": asked.sku, "available": await self.inventory.available(asked.sku)})

    async def _pick(self, call: Call) -> Answer:
        try:
            await self.inventory.pick(call.match["hold"])
        except LookupError as error:
            return _refused(404, error)
        return Answer({"hold": call.match["hold"]})


async def _read(call: Call, model: type[M]) -> M | Answer:
    """The body as `model`, or the answer that says what is wrong with it."""
    try:
        return model.model_validate_json(await call.request.read())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(str(step) for step in first["loc"]) or "document"
        return Answer({"detail": f"{path}: got {first['input']!r:.80}; {first['msg']}"}, status=422)


def _refused(status: int, error: Exception) -> Answer:
    return Answer({"detail": str(error)}, status=status)


def _shown(wrong: list[Wrong]) -> list[dict[str, object]]:
    return [asdict(one) for one in wrong[:MOST_WRONG]]


_: type[Plugin] = Tracking
