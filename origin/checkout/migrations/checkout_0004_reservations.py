"""How often a payment was authorized: each time is a reservation of its own in the books."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "checkout_0004"
down_revision = "checkout_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "checkout_payments", sa.Column("reserved", sa.Integer(), nullable=False, server_default="0")
    )


def downgrade() -> None:
    op.drop_column("checkout_payments", "reserved")
