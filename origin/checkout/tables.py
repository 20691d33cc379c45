"""The checkout's tables. Amounts are minor units of the session's currency; times are seconds since 1970."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

sessions = Table(
    "checkout_sessions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("site", String(63)),
    Column("state", String(20), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("paid", BigInteger, nullable=False, default=0),
    Column("refunded", BigInteger, nullable=False, default=0),
    Column("document", JSON, nullable=False),  # lines, addresses, language: as they were agreed
    Column("holds", JSON, nullable=False),  # of the stock: {id, sku, quantity, until}
    Column("stock", String(10), nullable=False),  # held | committed | released | short
    Column("payment", String(40)),  # the attempt that counts
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("until", Float, nullable=False),
    Column("review", String(8), nullable=False),  # "" | open | approved | rejected: what all reviews come to
    Column("reviews", JSON, nullable=False),  # the answer by decision of risk
    Column("cart", String(40)),  # whose token opened it
)

payments = Table(
    "checkout_payments",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("session", ForeignKey("checkout_sessions.id"), nullable=False),
    Column("provider", String(63), nullable=False),
    Column("method", String(20), nullable=False),
    Column("channel", String(32)),
    Column("reference", String(255)),  # the provider's name of it; none until it answered
    Column("state", String(20), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("captured", BigInteger, nullable=False, default=0),
    Column("refunded", BigInteger, nullable=False, default=0),
    Column("action", JSON),
    Column("reason", Text, nullable=False, default=""),
    Column("return_url", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("next_at", Float, nullable=False),  # when the provider is asked again
    Column("tries", Integer, nullable=False, default=0),
    Column("fields", Boolean, nullable=False, default=False),  # begun for the provider's own fields
    Column("reserved", Integer, nullable=False, default=0),  # how often it was authorized, by the books
    Column("settled_as", String(255)),  # the provider's name of the money that it took
    Column("fees", BigInteger, nullable=False, default=0),  # what it kept
)

disputes = Table(
    "checkout_disputes",
    metadata,
    Column("provider", String(63), primary_key=True),
    Column("reference", String(255), primary_key=True),
    Column("payment", ForeignKey("checkout_payments.id"), nullable=False, index=True),
    Column("state", String(10), nullable=False),  # inquiry | opened | lost | won
    Column("amount", BigInteger, nullable=False),
    Column("fee", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
)

payouts = Table(
    "checkout_payouts",
    metadata,
    Column("provider", String(63), primary_key=True),
    Column("reference", String(255), primary_key=True),
    Column("state", String(10), nullable=False),  # pending | paid | failed
    Column("currency", String(3), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("changed_at", Float, nullable=False),
)

refunds = Table(
    "checkout_refunds",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("payment", ForeignKey("checkout_payments.id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),  # asked | done | declined
    Column("reason", Text, nullable=False, default=""),
    Column("created_at", Float, nullable=False),
    Column("changed_at", Float, nullable=False),
)

# Requests that were answered, by the key that their sender gave them.
requests = Table(
    "checkout_requests",
    metadata,
    Column("scope", String(160), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("answer", JSON, nullable=False),
    Column("until", Float, nullable=False),
)

# Webhooks about payments that nobody here knows.
orphans = Table(
    "checkout_orphans",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("provider", String(63), nullable=False),
    Column("reference", String(255), nullable=False),
    Column("body", JSON, nullable=False),
    Column("at", Float, nullable=False),
)
