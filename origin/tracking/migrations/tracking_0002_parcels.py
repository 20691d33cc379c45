"""Parcels and their scans."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "tracking_0002"
down_revision = "tracking_0001"


def upgrade() -> None:
    op.create_table(
        "tracking_parcels",
        sa.Column("number", sa.String(32), primary_key=True),
        sa.Column("carrier", sa.String(32), nullable=False),
        sa.Column("code", sa.String(120), nullable=False),
        sa.Column("made_at", sa.Float, nullable=False),
        sa.UniqueConstraint("carrier", "code", name="tracking_parcel_once"),
    )
    op.create_table(
        "tracking_scans",
        sa.Column("parcel", sa.String(32), sa.ForeignKey("tracking_parcels.number"), primary_key=True),
        sa.Column("at", sa.Float, primary_key=True),
        sa.Column("raw", sa.String(120), primary_key=True),
        sa.Column("place", sa.String(120), primary_key=True),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("text", sa.String(120), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("tracking_scans")
    op.drop_table("tracking_parcels")
