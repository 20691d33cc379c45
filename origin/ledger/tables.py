"""The ledger's tables. Amounts are minor units, debits positive; the migration has what keeps them right.

Postings are written first, their transfer last: that row is the seal, at which the database checks that they
balance and moves the balances. A posting whose transfer never comes fails at the commit.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()
counted = BigInteger().with_variant(Integer, "sqlite")

accounts = Table(
    "ledger_accounts",
    metadata,
    Column("name", String(255), primary_key=True),
    # debits: never more debited than credited, what is reserved included; credits: the other way round
    Column("bound", String(7), nullable=False),
    Column("opened_at", Float, nullable=False),
)

balances = Table(
    "ledger_balances",
    metadata,
    Column("account", ForeignKey("ledger_accounts.name"), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("bound", String(7), nullable=False),
    Column("debits", BigInteger, nullable=False),
    Column("credits", BigInteger, nullable=False),
    Column("pending_debits", BigInteger, nullable=False),
    Column("pending_credits", BigInteger, nullable=False),
    CheckConstraint("debits >= 0 AND credits >= 0 AND pending_debits >= 0 AND pending_credits >= 0"),
)

transfers = Table(
    "ledger_transfers",
    metadata,
    Column("number", counted, primary_key=True, autoincrement=True),
    Column("id", String(200), nullable=False),
    Column("phase", String(7), nullable=False),  # posted | pending
    Column("occasion", String(10), nullable=False),
    Column("order_id", String(120), nullable=False),
    Column("provider", String(63), nullable=False),
    Column("method", String(63), nullable=False),
    Column("reference", String(200), nullable=False),
    Column("memo", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("booked_on", Date, nullable=False),  # the day by the shop's clock
    Column("at", Float, nullable=False),
    UniqueConstraint("id"),
    Index("ledger_transfers_day", "booked_on"),
    Index("ledger_transfers_reference", "provider", "reference"),
    Index("ledger_transfers_order", "order_id"),
)

postings = Table(
    "ledger_postings",
    metadata,
    Column(
        "transfer_id",
        ForeignKey("ledger_transfers.id", deferrable=True, initially="DEFERRED"),
        primary_key=True,
    ),
    Column("line", Integer, primary_key=True),
    Column("account", ForeignKey("ledger_accounts.name"), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Index("ledger_postings_account", "account", "currency"),
)

resolutions = Table(
    "ledger_resolutions",
    metadata,
    Column("transfer_id", ForeignKey("ledger_transfers.id"), primary_key=True),
    Column("outcome", String(6), nullable=False),  # posted | voided
    Column("booked_on", Date, nullable=False),
    Column("at", Float, nullable=False),
    Index("ledger_resolutions_day", "booked_on"),
)

orders = Table(
    "ledger_orders",
    metadata,
    Column("order_id", String(120), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("paid", BigInteger, nullable=False),
    Column("refunded", BigInteger, nullable=False),
    Column("refunding", BigInteger, nullable=False),  # reserved
    Column("charged_back", BigInteger, nullable=False),
)

# What is booked, a row a posting: a reserved transfer appears on the day it was posted. A view.
entries = Table(
    "ledger_entries",
    MetaData(),
    Column("number", counted),
    Column("transfer_id", String),
    Column("line", Integer),
    Column("booked_on", Date),
    Column("at", Float),
    Column("occasion", String),
    Column("order_id", String),
    Column("provider", String),
    Column("method", String),
    Column("reference", String),
    Column("memo", Text),
    Column("account", String),
    Column("currency", String),
    Column("amount", BigInteger),
)
