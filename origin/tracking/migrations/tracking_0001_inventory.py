"""Locations, SKUs, levels and their movements, holds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "tracking_0001"
down_revision = None
branch_labels = ("tracking",)
depends_on = "origin_0001"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    _goods()
    _movements()
    _holds()
    if op.get_bind().dialect.name == "sqlite":
        for deed in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER tracking_movements_{deed.lower()} BEFORE {deed} ON tracking_movements "
                "BEGIN SELECT RAISE(ABORT, 'tracking_movements_immutable'); END"
            )
    else:
        op.execute(
            "CREATE FUNCTION tracking_movements_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION 'tracking_movements_immutable' USING ERRCODE = 'check_violation'; END $$"
        )
        op.execute(
            "CREATE TRIGGER tracking_movements_kept BEFORE UPDATE OR DELETE OR TRUNCATE "
            "ON tracking_movements FOR EACH STATEMENT EXECUTE FUNCTION tracking_movements_kept()"
        )


def _goods() -> None:
    op.create_table(
        "tracking_locations",
        sa.Column("code", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("country", sa.String(2), nullable=False),
        sa.Column("latitude", sa.Float),
        sa.Column("longitude", sa.Float),
    )
    op.create_table(
        "tracking_items",
        sa.Column("sku", sa.String(63), primary_key=True),
        sa.Column("gtin", sa.String(14)),
        sa.Column("low", sa.Integer, nullable=False),
        sa.Column("reorder_point", sa.Integer, nullable=False),
        sa.Column("band", sa.String(4), nullable=False),
        sa.Column("band_at", sa.Float, nullable=False),
        sa.Column("band_due", sa.Float, index=True),
    )
    op.create_table(
        "tracking_levels",
        sa.Column("sku", sa.String(63), sa.ForeignKey("tracking_items.sku"), primary_key=True),
        sa.Column("location", sa.String(32), sa.ForeignKey("tracking_locations.code"), primary_key=True),
        sa.Column("on_hand", sa.Integer, nullable=False),
        sa.Column("reserved", sa.Integer, nullable=False),
        sa.Column("safety", sa.Integer, nullable=False),
        sa.CheckConstraint("on_hand >= 0", name="tracking_on_hand_not_negative"),
        sa.CheckConstraint("reserved >= 0", name="tracking_reserved_not_negative"),
        sa.CheckConstraint("reserved <= on_hand", name="tracking_nothing_promised_twice"),
    )


def _movements() -> None:
    op.create_table(
        "tracking_movements",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("sku", sa.String(63), nullable=False, index=True),
        sa.Column("location", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("on_hand", sa.Integer, nullable=False),
        sa.Column("reserved", sa.Integer, nullable=False),
        sa.Column("reference", sa.String(120), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )


def _holds() -> None:
    op.create_table(
        "tracking_holds",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("sku", sa.String(63), nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
    )
    op.create_index("tracking_holds_due", "tracking_holds", ["state", "until"])
    op.create_table(
        "tracking_hold_parts",
        sa.Column("hold", sa.String(32), sa.ForeignKey("tracking_holds.id"), primary_key=True),
        sa.Column("location", sa.String(32), primary_key=True),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.CheckConstraint("quantity > 0", name="tracking_part_positive"),
    )


def downgrade() -> None:
    for table in ("hold_parts", "holds", "movements", "levels", "items", "locations"):
        op.drop_table(f"tracking_{table}")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION tracking_movements_kept()")
