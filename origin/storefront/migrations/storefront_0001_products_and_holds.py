"""Products and holds of the storefront."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "storefront_0001"
down_revision = None
branch_labels = ("storefront",)
depends_on = "origin_0001"


def upgrade() -> None:
    op.create_table(
        "storefront_products",
        sa.Column("sku", sa.String(63), primary_key=True),
        sa.Column("price", sa.BigInteger, nullable=False),
        sa.Column("stock", sa.Integer, nullable=False),
        sa.Column("changed_at", sa.Float, nullable=False),
        sa.CheckConstraint("stock >= 0", name="storefront_stock_not_negative"),
        sa.CheckConstraint("price >= 0", name="storefront_price_not_negative"),
    )
    op.create_table(
        "storefront_holds",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("sku", sa.String(63), sa.ForeignKey("storefront_products.sku"), nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
    )


def downgrade() -> None:
    op.drop_table("storefront_holds")
    op.drop_table("storefront_products")
