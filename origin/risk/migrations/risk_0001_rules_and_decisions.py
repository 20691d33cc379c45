"""Rules by version, and every decision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "risk_0001"
down_revision = None
branch_labels = ("risk",)
depends_on = "origin_0001"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "risk_rulesets",
        sa.Column("version", number, primary_key=True, autoincrement=True),
        sa.Column("rules", sa.JSON, nullable=False),
        sa.Column("made_by", sa.String(120), nullable=False),
        sa.Column("made_at", sa.Float, nullable=False),
    )
    op.create_table(
        "risk_decisions",
        sa.Column("number", number, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(32), nullable=False, unique=True),
        sa.Column("order_id", sa.String(120), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("action", sa.String(6), nullable=False),
        sa.Column("challenge", sa.Boolean, nullable=False),
        sa.Column("matched", sa.JSON, nullable=False),
        sa.Column("failed", sa.JSON, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("network", sa.String(50), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("email", sa.String(64), nullable=False),
        sa.Column("card", sa.String(64), nullable=False),
        sa.Column("review", sa.String(8), nullable=False),
        sa.Column("reviewed_by", sa.String(120), nullable=False),
        sa.Column("reviewed_at", sa.Float),
        sa.Column("outcome", sa.String(8), nullable=False),
        sa.UniqueConstraint("order_id", "digest"),
        sa.CheckConstraint("action IN ('allow', 'block', 'review')", name="risk_action"),
        sa.CheckConstraint("review IN ('', 'open', 'approved', 'rejected')", name="risk_review"),
    )
    op.create_index("risk_decisions_at", "risk_decisions", ["at"])
    op.create_index("risk_decisions_review", "risk_decisions", ["review", "number"])
    for name in ("address", "network", "device", "email", "card"):
        op.create_index(f"risk_decisions_{name}", "risk_decisions", [name, "at"])


def downgrade() -> None:
    op.drop_table("risk_decisions")
    op.drop_table("risk_rulesets")
