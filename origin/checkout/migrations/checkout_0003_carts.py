"""Which cart's token opened a session: one cart makes one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "checkout_0003"
down_revision = "checkout_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checkout_sessions", sa.Column("cart", sa.String(40)))
    op.create_index("checkout_sessions_cart", "checkout_sessions", ["cart"], unique=True)


def downgrade() -> None:
    op.drop_index("checkout_sessions_cart", "checkout_sessions")
    op.drop_column("checkout_sessions", "cart")
