"""Roles, second factors, tokens with scopes and expiry, and the audit log, which only grows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("users") as table:
        table.add_column(sa.Column("role", sa.String(length=16), nullable=False, server_default="admin"))
        table.add_column(sa.Column("sites", sa.JSON(), nullable=True))
        table.add_column(sa.Column("totp", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("totp_step", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("tokens") as table:
        table.add_column(sa.Column("scopes", sa.JSON(), nullable=True))
        table.add_column(sa.Column("sites", sa.JSON(), nullable=True))
        table.add_column(sa.Column("expires_at", sa.Float(), nullable=True))
        table.add_column(sa.Column("by", sa.String(length=63), nullable=False, server_default="control"))
    tokens = sa.table("tokens", sa.column("scope", sa.String), sa.column("scopes", sa.JSON))
    connection = op.get_bind()
    for (scope,) in connection.execute(sa.select(tokens.c.scope).distinct()).all():
        connection.execute(tokens.update().where(tokens.c.scope == scope).values(scopes=[scope]))
    with op.batch_alter_table("tokens") as table:
        table.alter_column("scopes", existing_type=sa.JSON(), nullable=False)
        table.drop_column("scope")
    op.create_table(
        "audit",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("who", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=63), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("outcome", sa.String(length=8), nullable=False),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("after", sa.JSON(), nullable=True),
        sa.Column("previous", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    if connection.dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION tepi_only_grows() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit log only grows'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION tepi_only_grows()"
        )
    else:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END"
            )


def downgrade() -> None:
    """Who had less than everything goes: the schema of before can't say so, and would give him all."""
    op.drop_table("audit")
    connection = op.get_bind()
    limited = sa.table("users", sa.column("role", sa.String), sa.column("sites", sa.JSON))
    connection.execute(
        limited.delete().where(
            sa.or_(limited.c.role != "admin", sa.cast(limited.c.sites, sa.String).is_not(None))
        )
    )
    bounded = sa.table("tokens", sa.column("sites", sa.JSON), sa.column("expires_at", sa.Float))
    connection.execute(
        bounded.delete().where(
            sa.or_(sa.cast(bounded.c.sites, sa.String).is_not(None), bounded.c.expires_at.is_not(None))
        )
    )
    if connection.dialect.name == "postgresql":
        op.execute("DROP FUNCTION tepi_only_grows()")
    with op.batch_alter_table("tokens") as table:
        table.add_column(sa.Column("scope", sa.String(length=16), nullable=False, server_default="purge"))
    tokens = sa.table(
        "tokens", sa.column("hash", sa.String), sa.column("scope", sa.String), sa.column("scopes", sa.JSON)
    )
    for row in connection.execute(sa.select(tokens.c.hash, tokens.c.scopes)).all():
        mine = tokens.c.hash == row.hash
        if "admin" in row.scopes:
            connection.execute(tokens.update().where(mine).values(scope="admin"))
        elif "purge" not in row.scopes:
            connection.execute(tokens.delete().where(mine))
    with op.batch_alter_table("tokens") as table:
        for column in ("by", "expires_at", "sites", "scopes"):
            table.drop_column(column)
    with op.batch_alter_table("users") as table:
        for column in ("totp_step", "totp", "sites", "role"):
            table.drop_column(column)
