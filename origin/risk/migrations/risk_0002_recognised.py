"""Decisions that were made again once the card was known."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "risk_0002"
down_revision = "risk_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "risk_decisions", sa.Column("replaced_by", sa.String(32), nullable=False, server_default="")
    )


def downgrade() -> None:
    op.drop_column("risk_decisions", "replaced_by")
