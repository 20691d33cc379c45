"""Sessions, payments, refunds, answered requests and orphans of the checkout."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "checkout_0001"
down_revision = None
branch_labels = ("checkout",)
depends_on = "origin_0001"


def upgrade() -> None:
    op.create_table(
        "checkout_sessions",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("site", sa.String(63)),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("paid", sa.BigInteger, nullable=False),
        sa.Column("refunded", sa.BigInteger, nullable=False),
        sa.Column("document", sa.JSON, nullable=False),
        sa.Column("holds", sa.JSON, nullable=False),
        sa.Column("stock", sa.String(10), nullable=False),
        sa.Column("payment", sa.String(40)),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.CheckConstraint("total >= 0", name="checkout_total_not_negative"),
        sa.CheckConstraint("refunded >= 0 AND refunded <= paid", name="checkout_refunds_within_paid"),
    )
    op.create_index("checkout_sessions_waiting", "checkout_sessions", ["state", "until"])
    op.create_table(
        "checkout_payments",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("session", sa.String(40), sa.ForeignKey("checkout_sessions.id"), nullable=False),
        sa.Column("provider", sa.String(63), nullable=False),
        sa.Column("method", sa.String(20), nullable=False),
        sa.Column("channel", sa.String(32)),
        sa.Column("reference", sa.String(255)),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("captured", sa.BigInteger, nullable=False),
        sa.Column("refunded", sa.BigInteger, nullable=False),
        sa.Column("action", sa.JSON),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("return_url", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.Column("next_at", sa.Float, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.UniqueConstraint("provider", "reference", name="checkout_payments_reference"),
        sa.CheckConstraint("refunded >= 0 AND refunded <= captured", name="checkout_payment_refunds"),
    )
    op.create_index("checkout_payments_of_session", "checkout_payments", ["session"])
    op.create_index("checkout_payments_waiting", "checkout_payments", ["state", "next_at"])
    op.create_table(
        "checkout_refunds",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("payment", sa.String(40), sa.ForeignKey("checkout_payments.id"), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.CheckConstraint("amount > 0", name="checkout_refund_positive"),
    )
    op.create_index("checkout_refunds_of_payment", "checkout_refunds", ["payment"])
    op.create_table(
        "checkout_requests",
        sa.Column("scope", sa.String(160), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("answer", sa.JSON, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
    )
    op.create_index("checkout_requests_until", "checkout_requests", ["until"])
    op.create_table(
        "checkout_orphans",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("provider", sa.String(63), nullable=False),
        sa.Column("reference", sa.String(255), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )


def downgrade() -> None:
    for table in ("orphans", "requests", "refunds", "payments", "sessions"):
        op.drop_table(f"checkout_{table}")
