"""Disputes and payouts, the provider's name of the money taken, and what it kept of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "checkout_0006"
down_revision = "checkout_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checkout_payments", sa.Column("settled_as", sa.String(255), nullable=True))
    op.add_column("checkout_payments", sa.Column("fees", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "checkout_disputes",
        sa.Column("provider", sa.String(63), primary_key=True),
        sa.Column("reference", sa.String(255), primary_key=True),
        sa.Column("payment", sa.String(40), sa.ForeignKey("checkout_payments.id"), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("fee", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
    )
    op.create_index("checkout_disputes_payment", "checkout_disputes", ["payment"])
    op.create_table(
        "checkout_payouts",
        sa.Column("provider", sa.String(63), primary_key=True),
        sa.Column("reference", sa.String(255), primary_key=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("checkout_payouts")
    op.drop_table("checkout_disputes")
    op.drop_column("checkout_payments", "fees")
    op.drop_column("checkout_payments", "settled_as")
