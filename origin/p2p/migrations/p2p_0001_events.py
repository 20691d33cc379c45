"""Events, their tags, deletions, listings, and words to search by."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "p2p_0001"
down_revision = None
branch_labels = ("p2p",)
depends_on = "origin_0001"

counted = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "p2p_events",
        sa.Column("number", counted, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("pubkey", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Integer, nullable=False),
        sa.Column("address", sa.Text, unique=True),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("raw", sa.Text, nullable=False),
    )
    op.create_index("p2p_events_kind", "p2p_events", ["kind", "created_at"])
    op.create_index("p2p_events_author", "p2p_events", ["pubkey", "kind", "created_at"])
    op.create_index("p2p_events_expiry", "p2p_events", ["expires_at"])
    op.create_table(
        "p2p_tags",
        sa.Column("event", counted, _its_event(), nullable=False),
        sa.Column("name", sa.String(1), nullable=False),
        sa.Column("value", sa.String(256), nullable=False),
        sa.PrimaryKeyConstraint("name", "value", "event"),
    )
    op.create_index("p2p_tags_event", "p2p_tags", ["event"])
    op.create_table(
        "p2p_gone",
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("pubkey", sa.String(64), nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("target", "pubkey"),
    )
    op.create_table(
        "p2p_listings",
        sa.Column("event", counted, _its_event(), primary_key=True),
        sa.Column("ref", sa.String(20), nullable=False, unique=True),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("geohash", sa.String(12), nullable=False),
        sa.Column("latitude", sa.Float),
        sa.Column("longitude", sa.Float),
        sa.Column("published_at", sa.BigInteger, nullable=False),
        sa.Column("cache_tags", sa.JSON, nullable=False),
    )
    op.create_index("p2p_listings_new", "p2p_listings", ["published_at"])
    op.create_index("p2p_listings_geohash", "p2p_listings", ["geohash"])
    op.create_index("p2p_listings_place", "p2p_listings", ["latitude", "longitude"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE VIRTUAL TABLE p2p_words USING fts5(body, tokenize='unicode61 remove_diacritics 2')"
        )
    else:
        op.execute(
            "CREATE TABLE p2p_words (rowid bigint PRIMARY KEY, body text NOT NULL, "
            "words tsvector GENERATED ALWAYS AS (to_tsvector('simple', body)) STORED)"
        )
        op.execute("CREATE INDEX p2p_words_words ON p2p_words USING gin (words)")


def _its_event() -> sa.ForeignKey:
    return sa.ForeignKey("p2p_events.number", ondelete="CASCADE")


def downgrade() -> None:
    for table in ("p2p_words", "p2p_listings", "p2p_gone", "p2p_tags", "p2p_events"):
        op.drop_table(table)
