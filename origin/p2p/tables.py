"""Events and what is found by them. Moments are seconds since 1970, prices minor units, places degrees."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

metadata = MetaData()
counted = BigInteger().with_variant(Integer, "sqlite")

events = Table(
    "p2p_events",
    metadata,
    Column("number", counted, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("pubkey", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("address", Text, unique=True),  # of replaceable and addressable ones: one stands at each
    Column("expires_at", BigInteger),
    Column("raw", Text, nullable=False),  # as it was signed
    Index("p2p_events_kind", "kind", "created_at"),
    Index("p2p_events_author", "pubkey", "kind", "created_at"),
    Index("p2p_events_expiry", "expires_at"),
)

tags = Table(
    "p2p_tags",
    metadata,
    Column("event", counted, ForeignKey("p2p_events.number", ondelete="CASCADE"), nullable=False),
    Column("name", String(1), nullable=False),
    Column("value", String(256), nullable=False),
    PrimaryKeyConstraint("name", "value", "event"),
    Index("p2p_tags_event", "event"),
)

# What may not come back (NIP-09): an event by its id, or what stood at an address until a moment.
gone = Table(
    "p2p_gone",
    metadata,
    Column("target", Text, nullable=False),
    Column("pubkey", String(64), nullable=False),
    Column("until", BigInteger, nullable=False),
    PrimaryKeyConstraint("target", "pubkey"),
)

listings = Table(
    "p2p_listings",
    metadata,
    Column("event", counted, ForeignKey("p2p_events.number", ondelete="CASCADE"), primary_key=True),
    Column("ref", String(20), nullable=False, unique=True),
    Column("status", String(8), nullable=False),
    Column("price", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("geohash", String(12), nullable=False),
    Column("latitude", Float),
    Column("longitude", Float),
    Column("published_at", BigInteger, nullable=False),
    Column("cache_tags", JSON, nullable=False),
    Index("p2p_listings_new", "published_at"),
    Index("p2p_listings_geohash", "geohash"),
    Index("p2p_listings_place", "latitude", "longitude"),
)

# SQLite: an FTS5 table of the words alone; PostgreSQL: a table with a generated tsvector.
words = Table("p2p_words", MetaData(), Column("rowid", BigInteger, primary_key=True), Column("body", Text))
