"""Carriers' webhooks that no parcel could be given."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "tracking_0003"
down_revision = "tracking_0002"


def upgrade() -> None:
    op.create_table(
        "tracking_orphans",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("carrier", sa.String(32), nullable=False),
        sa.Column("code", sa.String(120), nullable=False),
        sa.Column("problem", sa.Text, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("came_at", sa.Float, nullable=False),
    )
    op.create_index("tracking_orphans_of", "tracking_orphans", ["carrier", "code"])


def downgrade() -> None:
    op.drop_table("tracking_orphans")
