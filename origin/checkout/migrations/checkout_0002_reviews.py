"""Reviews that an order's goods wait for."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "checkout_0002"
down_revision = "checkout_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("checkout_sessions", sa.Column("review", sa.String(8), nullable=False, server_default=""))
    op.add_column("checkout_sessions", sa.Column("reviews", sa.JSON, nullable=False, server_default="{}"))
    op.create_index("checkout_sessions_review", "checkout_sessions", ["review", "state"])


def downgrade() -> None:
    op.drop_index("checkout_sessions_review", "checkout_sessions")
    op.drop_column("checkout_sessions", "reviews")
    op.drop_column("checkout_sessions", "review")
