"""Pictures, by the SHA-256 of their bytes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "p2p_0002"
down_revision = "p2p_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "p2p_media",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("pubkey", sa.String(64), nullable=False),
        sa.Column("type", sa.String(20), nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("uploaded_at", sa.BigInteger, nullable=False),
    )
    op.create_index("p2p_media_owner", "p2p_media", ["pubkey", "uploaded_at"])


def downgrade() -> None:
    op.drop_table("p2p_media")
