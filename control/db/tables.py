"""Control's tables. Times are seconds since 1970 in UTC; documents are JSON; secrets are kept as hashes."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    false,
)

metadata = MetaData()

# One row: the journal's lineage and the number that was given out last. Taking a number locks it.
counter = Table(
    "counter",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("lineage", String(32), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("authority", String(64)),  # fingerprints of the keys that every control of the fleet has
    Column("journal_key", String(64)),
)

# Several controls on one database: what each hears of the nodes that are connected to it. `beats` grows with
# every heartbeat, so that readers need no clock but their own.
presence = Table(
    "presence",
    metadata,
    Column("node", ForeignKey("nodes.name", ondelete="CASCADE"), primary_key=True),
    Column("replica", String(32), nullable=False),
    Column("beats", BigInteger, nullable=False),
    Column("good_beats", BigInteger, nullable=False),
    Column("version", String(64), nullable=False),
    Column("lineage", String(32)),
    Column("number", BigInteger),
    Column("counters", JSON, nullable=False),
    Column("problems", JSON, nullable=False),
)

# Commands to nodes that are connected to another replica, and their answers.
errands = Table(
    "errands",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("node", String(63), nullable=False),
    Column("verb", String(32), nullable=False),
    Column("body", JSON, nullable=False),
    Column("taken_by", String(32)),
    Column("reply", JSON),
    Column("at", Float, nullable=False),
)

journal = Table(
    "journal",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("kind", String(32), nullable=False),
    Column("body", JSON, nullable=False),
    Column("at", Float, nullable=False),
)

sites = Table(
    "sites",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("document", JSON, nullable=False),
    Column("changed_at", Float, nullable=False),
)

site_versions = Table(
    "site_versions",
    metadata,
    Column("site", String(63), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("document", JSON, nullable=False),
    Column("at", Float, nullable=False),
    Column("by", String(63), nullable=False),
)

trials = Table(
    "trials",
    metadata,
    Column("site", String(63), primary_key=True),
    Column("document", JSON, nullable=False),
    Column("nodes", JSON, nullable=False),
    Column("minutes", Integer),  # after which it is promoted by itself; null: never
    Column("by", String(63), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("ended_at", Float),
    Column("outcome", String(16)),
    Column("reason", Text),
)

nodes = Table(
    "nodes",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("role", String(8), nullable=False),
    Column("place", JSON),
    Column("addresses", JSON, nullable=False),
    Column("capacity", Float, nullable=False),
    Column("draining", Boolean, nullable=False, server_default=false()),
    Column("serial", String(48)),  # of the certificate that is valid now; null before the node has joined
    Column("created_at", Float, nullable=False),
    Column("joined_at", Float),
)

join_tokens = Table(
    "join_tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("node", ForeignKey("nodes.name", ondelete="CASCADE"), nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
)

certificates = Table(
    "certificates",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("hosts", JSON, nullable=False),
    Column("certificate", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("expires_at", Float, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("password", Text, nullable=False),  # Argon2id
    Column("role", String(16), nullable=False, server_default="admin"),
    Column("sites", JSON(none_as_null=True)),  # the only ones that the role holds for; null: the whole fleet
    Column("totp", String(64)),  # the secret of the second factor (RFC 6238), where there is one
    Column("totp_step", BigInteger, nullable=False, server_default="0"),  # of the last code that was taken
    Column("created_at", Float, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("user", ForeignKey("users.name", ondelete="CASCADE"), nullable=False),
    Column("csrf", String(64), nullable=False),
    Column("expires_at", Float, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("name", String(63), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("sites", JSON(none_as_null=True)),
    Column("expires_at", Float),
    Column("by", String(63), nullable=False, server_default="control"),
    Column("created_at", Float, nullable=False),
)

# Only ever added to; triggers refuse anything else.
audit = Table(
    "audit",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("who", String(63), nullable=False),
    Column("kind", String(8), nullable=False),
    Column("address", String(64), nullable=False),
    Column("action", String(63), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("outcome", String(8), nullable=False),
    Column("before", JSON(none_as_null=True)),
    Column("after", JSON(none_as_null=True)),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("signature", String(128), nullable=False),
)

purges = Table(
    "purges",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("lineage", String(32), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("kind", String(8), nullable=False),
    Column("value", Text, nullable=False),
    Column("soft", Boolean, nullable=False),
    Column("site", String(63)),
    Column("by", String(63), nullable=False),
    Column("at", Float, nullable=False),
    Column("idempotency_key", String(255), unique=True),
    Index("purges_number", "lineage", "number"),
)

receipts = Table(
    "receipts",
    metadata,
    Column("purge", ForeignKey("purges.id", ondelete="CASCADE"), primary_key=True),
    Column("node", String(63), primary_key=True),
    Column("healthy", Boolean, nullable=False),  # when the purge was asked for
    Column("applied_at", Float),
    Index("receipts_pending", "node", "applied_at"),
)

samples = Table(
    "samples",
    metadata,
    Column("resolution", String(6), primary_key=True),
    Column("start", Integer, primary_key=True),
    Column("node", String(63), primary_key=True),
    Column("counters", JSON, nullable=False),
)
