"""The origin's own tables; plugins bring theirs. Times are seconds since 1970 in UTC."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, Index, Integer, MetaData, String, Table, Text, UniqueConstraint

metadata = MetaData()

# Webhooks that were taken in, each once.
inbox = Table(
    "inbox",
    metadata,
    Column("provider", String(63), primary_key=True),
    Column("event", String(255), primary_key=True),
    Column("received_at", Float, nullable=False),
)

# What must leave: purges for control, events for hearers. Written in the transaction that caused it.
outbox = Table(
    "outbox",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False),
    Column("kind", String(8), nullable=False),  # purge | event
    Column("name", String(255), nullable=False),  # a tag, or an event's name
    Column("body", JSON, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_at", Float, nullable=False),
    Column("done_at", Float),
    Column("receipt", JSON),
    Column("error", Text),
    UniqueConstraint("id"),
    Index("outbox_waiting", "kind", "done_at", "number"),
)
