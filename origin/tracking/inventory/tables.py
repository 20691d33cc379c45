"""The inventory's tables. Levels are totals of the movements, which are never changed."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Integer, MetaData, String, Table

metadata = MetaData()
Number = BigInteger().with_variant(Integer, "sqlite")

locations = Table(
    "tracking_locations",
    metadata,
    Column("code", String(32), primary_key=True),
    Column("name", String(120), nullable=False),
    Column("kind", String(12), nullable=False),  # warehouse | centre | shop
    Column("country", String(2), nullable=False),
    Column("latitude", Float),
    Column("longitude", Float),
)

items = Table(
    "tracking_items",
    metadata,
    Column("sku", String(63), primary_key=True),
    Column("gtin", String(14)),
    Column("low", Integer, nullable=False),
    Column("reorder_point", Integer, nullable=False),
    Column("band", String(4), nullable=False),  # what pages were told last
    Column("band_at", Float, nullable=False),
    Column("band_due", Float),
)

levels = Table(
    "tracking_levels",
    metadata,
    Column("sku", String(63), primary_key=True),
    Column("location", String(32), primary_key=True),
    Column("on_hand", Integer, nullable=False),
    Column("reserved", Integer, nullable=False),
    Column("safety", Integer, nullable=False),
)

movements = Table(
    "tracking_movements",
    metadata,
    Column("number", Number, primary_key=True, autoincrement=True),
    Column("sku", String(63), nullable=False),
    Column("location", String(32), nullable=False),
    Column("kind", String(12), nullable=False),
    Column("on_hand", Integer, nullable=False),  # pieces more or fewer
    Column("reserved", Integer, nullable=False),
    Column("reference", String(120), nullable=False),  # the hold, the delivery, who counted
    Column("at", Float, nullable=False),
)

holds = Table(
    "tracking_holds",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("sku", String(63), nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("until", Float, nullable=False),
    Column("state", String(10), nullable=False),  # held | ordered | picked | released
)

parts = Table(
    "tracking_hold_parts",
    metadata,
    Column("hold", String(32), primary_key=True),
    Column("location", String(32), primary_key=True),
    Column("quantity", Integer, nullable=False),
)
