"""Whether a payment was begun where the provider's own fields can be shown: it is asked for again alike."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "checkout_0005"
down_revision = "checkout_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "checkout_payments", sa.Column("fields", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("checkout_payments", "fields")
