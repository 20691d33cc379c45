"""What each site's document was, one row a change, so that any can be taken back; and what some nodes try."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    made = op.create_table(
        "site_versions",
        sa.Column("site", sa.String(length=63), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("by", sa.String(length=63), nullable=False),
        sa.PrimaryKeyConstraint("site", "number"),
    )
    sites = sa.table(
        "sites",
        sa.column("name", sa.String),
        sa.column("document", sa.JSON),
        sa.column("changed_at", sa.Float),
    )
    op.create_table(
        "trials",
        sa.Column("site", sa.String(length=63), primary_key=True),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("nodes", sa.JSON(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=True),
        sa.Column("by", sa.String(length=63), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("ended_at", sa.Float(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
    )
    rows = op.get_bind().execute(sa.select(sites.c.name, sites.c.document, sites.c.changed_at)).all()
    first = [
        {"site": row.name, "number": 1, "document": row.document, "at": row.changed_at, "by": "control"}
        for row in rows
    ]
    if first:
        op.bulk_insert(made, first)


def downgrade() -> None:
    op.drop_table("trials")
    op.drop_table("site_versions")
