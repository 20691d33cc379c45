"""Cases of moderation: what was reported of a listing, and what was decided."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "p2p_0003"
down_revision = "p2p_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "p2p_cases",
        sa.Column("ref", sa.String(20), primary_key=True),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("pubkey", sa.String(64), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("appeal", sa.Text, nullable=False),
        sa.Column("opened_at", sa.BigInteger, nullable=False),
        sa.Column("decided_by", sa.String(120), nullable=False),
        sa.Column("decided_at", sa.BigInteger),
    )
    op.create_index("p2p_cases_waiting", "p2p_cases", ["state", "opened_at"])
    op.create_table(
        "p2p_reports",
        sa.Column("ref", sa.String(20), sa.ForeignKey("p2p_cases.ref", ondelete="CASCADE"), nullable=False),
        sa.Column("reporter", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("ref", "reporter"),
    )


def downgrade() -> None:
    op.drop_table("p2p_reports")
    op.drop_table("p2p_cases")
