"""Risk's tables. E-mails, devices and cards are kept as keyed hashes: they are counted, never shown."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()
counted = BigInteger().with_variant(Integer, "sqlite")

rulesets = Table(
    "risk_rulesets",
    metadata,
    Column("version", counted, primary_key=True, autoincrement=True),
    Column("rules", JSON, nullable=False),
    Column("made_by", String(120), nullable=False),
    Column("made_at", Float, nullable=False),
)

decisions = Table(
    "risk_decisions",
    metadata,
    Column("number", counted, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False),
    Column("order_id", String(120), nullable=False),
    Column("digest", String(64), nullable=False),  # of what was known of the attempt
    Column("version", BigInteger, nullable=False),  # of the rules; 0: those that Tepi ships
    Column("action", String(6), nullable=False),
    Column("challenge", Boolean, nullable=False),
    Column("matched", JSON, nullable=False),
    Column("failed", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("at", Float, nullable=False),
    Column("address", String(45), nullable=False),
    Column("network", String(50), nullable=False),
    Column("device", String(64), nullable=False),
    Column("email", String(64), nullable=False),
    Column("card", String(64), nullable=False),
    Column("review", String(8), nullable=False),  # "" | open | approved | rejected
    Column("reviewed_by", String(120), nullable=False),
    Column("reviewed_at", Float),
    Column("outcome", String(8), nullable=False),  # "" | paid | failed | refunded | disputed
    Column("replaced_by", String(32), nullable=False),  # the decision made once the card was known
    UniqueConstraint("id"),
    UniqueConstraint("order_id", "digest"),
    Index("risk_decisions_at", "at"),
    Index("risk_decisions_review", "review", "number"),
    *(
        Index(f"risk_decisions_{name}", name, "at")
        for name in ("address", "network", "device", "email", "card")
    ),
)
