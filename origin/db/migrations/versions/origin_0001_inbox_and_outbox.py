"""Inbox and outbox."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "origin_0001"
down_revision = None
branch_labels = ("origin",)
depends_on = None


def upgrade() -> None:
    op.create_table(
        "inbox",
        sa.Column("provider", sa.String(63), primary_key=True),
        sa.Column("event", sa.String(255), primary_key=True),
        sa.Column("received_at", sa.Float, nullable=False),
    )
    op.create_table(
        "outbox",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Float, nullable=False),
        sa.Column("done_at", sa.Float),
        sa.Column("receipt", sa.JSON),
        sa.Column("error", sa.Text),
    )
    op.create_index("outbox_waiting", "outbox", ["kind", "done_at", "number"])


def downgrade() -> None:
    op.drop_table("outbox")
    op.drop_table("inbox")
