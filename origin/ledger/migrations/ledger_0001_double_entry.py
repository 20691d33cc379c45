"""Accounts, transfers, postings, balances, and the triggers that keep them right."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "ledger_0001"
down_revision = None
branch_labels = ("ledger",)
depends_on = "origin_0001"

LARGEST_AMOUNT = 10**15
LARGEST_TOTAL = 4 * 10**18  # two of them still fit into 64 bits
KEPT = ("ledger_accounts", "ledger_transfers", "ledger_postings", "ledger_resolutions")

# What a transfer does: how much to whom. Fees that a provider keeps are part of what was paid.
MOVED = """SELECT account, currency,
    SUM(CASE WHEN amount > 0 THEN amount ELSE 0 END) AS debit,
    SUM(CASE WHEN amount < 0 THEN -amount ELSE 0 END) AS credit
  FROM ledger_postings WHERE transfer_id = {id} GROUP BY account, currency"""
WORTH = """SELECT t.order_id, p.currency, t.occasion, t.phase, SUM(p.amount) AS worth
  FROM ledger_transfers t JOIN ledger_postings p ON p.transfer_id = t.id
  WHERE t.id = {id} AND t.occasion IN ('payment', 'refund', 'chargeback', 'reversal')
    AND (p.account LIKE 'Assets:%' OR p.account LIKE 'Expenses:Fees:%')
  GROUP BY t.order_id, p.currency, t.occasion, t.phase"""

OPEN_BALANCES = """INSERT INTO ledger_balances
    (account, currency, bound, debits, credits, pending_debits, pending_credits)
  SELECT p.account, p.currency, a.bound, 0, 0, 0, 0
  FROM ledger_postings p JOIN ledger_accounts a ON a.name = p.account
  WHERE p.transfer_id = NEW.id GROUP BY p.account, p.currency, a.bound ORDER BY p.account, p.currency
  ON CONFLICT DO NOTHING"""
OPEN_ORDERS = f"""INSERT INTO ledger_orders (order_id, currency, paid, refunded, refunding, charged_back)
  SELECT w.order_id, w.currency, 0, 0, 0, 0 FROM ({WORTH.format(id="NEW.id")}) AS w
  WHERE true ORDER BY w.currency ON CONFLICT DO NOTHING"""


def move(id: str, phase: str, sign: str = "") -> str:
    """Adds what transfer `id` moved to the totals of `phase`; with a minus as `sign` it is taken back."""
    kind = "pending_" if phase == "pending" else ""
    change = "-" if sign else "+"
    return f"""UPDATE ledger_balances SET
    {kind}debits = ledger_balances.{kind}debits {change} m.debit,
    {kind}credits = ledger_balances.{kind}credits {change} m.credit
  FROM ({MOVED.format(id=id)}) AS m
  WHERE ledger_balances.account = m.account AND ledger_balances.currency = m.currency"""


def count(id: str, phase: str, sign: str = "") -> str:
    """Adds what transfer `id` is worth to its order."""
    if phase == "pending":
        columns = {"refunding": "refund"}
    else:
        columns = {"paid": "payment", "refunded": "refund", "charged_back": "chargeback"}
    sums = []
    for column, occasion in columns.items():
        worth = "w.worth" if occasion == "payment" else "-w.worth"
        cases = f"WHEN w.occasion = '{occasion}' THEN {worth}"
        if occasion == "chargeback":
            cases += " WHEN w.occasion = 'reversal' THEN -w.worth"
        change = "-" if sign else "+"
        sums.append(f"{column} = ledger_orders.{column} {change} CASE {cases} ELSE 0 END")
    return f"""UPDATE ledger_orders SET {", ".join(sums)} FROM ({WORTH.format(id=id)}) AS w
  WHERE ledger_orders.order_id = w.order_id AND ledger_orders.currency = w.currency"""


UNBALANCED = """EXISTS (SELECT 1 FROM ledger_postings WHERE transfer_id = NEW.id
    GROUP BY currency HAVING SUM(amount) <> 0)"""
TOO_FEW = "(SELECT COUNT(*) FROM ledger_postings WHERE transfer_id = NEW.id) < 2"
KNOWN = "EXISTS (SELECT 1 FROM ledger_transfers WHERE id = NEW.id)"
SEALED = "EXISTS (SELECT 1 FROM ledger_transfers WHERE id = NEW.transfer_id)"
WRITTEN = "EXISTS (SELECT 1 FROM ledger_postings WHERE transfer_id = NEW.transfer_id AND line = NEW.line)"
NOT_PENDING = "NOT EXISTS (SELECT 1 FROM ledger_transfers WHERE id = NEW.transfer_id AND phase = 'pending')"
RESOLVED = "EXISTS (SELECT 1 FROM ledger_resolutions WHERE transfer_id = NEW.transfer_id)"

# What is refused before a row is written, by table: the condition, and the word that errors are known by.
REFUSED = {
    "ledger_postings": ((SEALED, "ledger_sealed"), (WRITTEN, "ledger_line_exists")),
    "ledger_transfers": (
        (KNOWN, "ledger_transfer_exists"),
        (TOO_FEW, "ledger_too_few_lines"),
        (UNBALANCED, "ledger_unbalanced"),
    ),
    "ledger_resolutions": ((NOT_PENDING, "ledger_not_pending"), (RESOLVED, "ledger_resolved")),
}  # fmt: skip


def booked(phase: str) -> tuple[str, ...]:
    """What follows a transfer of `phase`."""
    return OPEN_BALANCES, move("NEW.id", phase), OPEN_ORDERS, count("NEW.id", phase)


TAKEN_BACK = (move("NEW.transfer_id", "pending", "-"), count("NEW.transfer_id", "pending", "-"))
POSTED = (move("NEW.transfer_id", "posted"), count("NEW.transfer_id", "posted"))

# What follows once a row is written: statements under a condition.
FOLLOWS = {
    "ledger_transfers": (
        ("NEW.phase = 'posted'", booked("posted")),
        ("NEW.phase = 'pending'", booked("pending")),
    ),
    "ledger_resolutions": (
        ("NEW.outcome = 'voided'", TAKEN_BACK),
        ("NEW.outcome = 'posted'", TAKEN_BACK + POSTED),
    ),
}

ENTRIES = """CREATE VIEW ledger_entries AS
  SELECT t.number, t.id AS transfer_id, p.line, COALESCE(r.booked_on, t.booked_on) AS booked_on,
    COALESCE(r.at, t.at) AS at, t.occasion, t.order_id, t.provider, t.method, t.reference, t.memo,
    p.account, p.currency, p.amount
  FROM ledger_transfers t JOIN ledger_postings p ON p.transfer_id = t.id
  LEFT JOIN ledger_resolutions r ON r.transfer_id = t.id
  WHERE t.phase = 'posted' OR r.outcome = 'posted'"""


def upgrade() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    _create_tables(sqlite)
    for statement in _sqlite() if sqlite else _postgresql():
        op.execute(sa.text(statement.replace(":", "\\:")))
    op.execute(sa.text(ENTRIES))


def _create_tables(sqlite: bool) -> None:
    op.create_table(
        "ledger_accounts",
        sa.Column("name", sa.String(255), primary_key=True),
        sa.Column("bound", sa.String(7), nullable=False),
        sa.Column("opened_at", sa.Float, nullable=False),
        sa.CheckConstraint("bound IN ('none', 'debits', 'credits')", name="ledger_accounts_kind"),
    )
    totals = ("debits", "credits", "pending_debits", "pending_credits")
    op.create_table(
        "ledger_balances",
        sa.Column("account", sa.String(255), sa.ForeignKey("ledger_accounts.name"), primary_key=True),
        sa.Column("currency", sa.String(3), primary_key=True),
        sa.Column("bound", sa.String(7), nullable=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in totals),
        sa.CheckConstraint(
            " AND ".join(f"{name} BETWEEN 0 AND {LARGEST_TOTAL}" for name in totals), name="ledger_overflow"
        ),
        sa.CheckConstraint(
            "(bound <> 'debits' OR debits + pending_debits <= credits)"
            " AND (bound <> 'credits' OR credits + pending_credits <= debits)",
            name="ledger_bound",
        ),
    )
    op.create_table(
        "ledger_transfers",
        sa.Column(
            "number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True
        ),
        sa.Column("id", sa.String(200), nullable=False, unique=True),
        sa.Column("phase", sa.String(7), nullable=False),
        sa.Column("occasion", sa.String(10), nullable=False),
        sa.Column("order_id", sa.String(120), nullable=False),
        sa.Column("provider", sa.String(63), nullable=False),
        sa.Column("method", sa.String(63), nullable=False),
        sa.Column("reference", sa.String(200), nullable=False),
        sa.Column("memo", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("booked_on", sa.Date, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.CheckConstraint("phase IN ('posted', 'pending')", name="ledger_phase"),
    )
    op.create_index("ledger_transfers_day", "ledger_transfers", ["booked_on"])
    op.create_index("ledger_transfers_reference", "ledger_transfers", ["provider", "reference"])
    op.create_index("ledger_transfers_order", "ledger_transfers", ["order_id"])
    whole = " AND typeof(amount) = 'integer'" if sqlite else ""
    op.create_table(
        "ledger_postings",
        sa.Column(
            "transfer_id", sa.String(200),
            sa.ForeignKey("ledger_transfers.id", deferrable=True, initially="DEFERRED"), primary_key=True,
        ),
        sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("account", sa.String(255), sa.ForeignKey("ledger_accounts.name"), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.CheckConstraint(
            f"amount <> 0 AND amount BETWEEN -{LARGEST_AMOUNT} AND {LARGEST_AMOUNT}{whole}",
            name="ledger_amount",
        ),
    )  # fmt: skip
    op.create_index("ledger_postings_account", "ledger_postings", ["account", "currency"])
    op.create_table(
        "ledger_resolutions",
        sa.Column("transfer_id", sa.String(200), sa.ForeignKey("ledger_transfers.id"), primary_key=True),
        sa.Column("outcome", sa.String(6), nullable=False),
        sa.Column("booked_on", sa.Date, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.CheckConstraint("outcome IN ('posted', 'voided')", name="ledger_outcome"),
    )
    op.create_index("ledger_resolutions_day", "ledger_resolutions", ["booked_on"])
    op.create_table(
        "ledger_orders",
        sa.Column("order_id", sa.String(120), primary_key=True),
        sa.Column("currency", sa.String(3), primary_key=True),
        *(
            sa.Column(name, sa.BigInteger, nullable=False)
            for name in ("paid", "refunded", "refunding", "charged_back")
        ),
        sa.CheckConstraint("refunded + refunding <= paid", name="ledger_refund_within_payment"),
        sa.CheckConstraint("charged_back <= paid", name="ledger_chargeback_within_payment"),
        sa.CheckConstraint(
            "paid >= 0 AND refunded >= 0 AND refunding >= 0 AND charged_back >= 0", name="ledger_direction"
        ),
    )


def _sqlite() -> list[str]:
    made = []
    for table, refusals in REFUSED.items():
        checks = " ".join(f"SELECT RAISE(ABORT, '{word}') WHERE {when};" for when, word in refusals)
        made.append(f"CREATE TRIGGER {table}_checks BEFORE INSERT ON {table} BEGIN {checks} END")
    for table, cases in FOLLOWS.items():
        for number, (when, statements) in enumerate(cases):
            body = " ".join(f"{statement};" for statement in statements)
            event = f"AFTER INSERT ON {table} WHEN {when}"
            made.append(f"CREATE TRIGGER {table}_follows_{number} {event} BEGIN {body} END")
    return made + [
        f"CREATE TRIGGER {table}_{deed.lower()} BEFORE {deed} ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'ledger_immutable'); END"
        for table in KEPT
        for deed in ("UPDATE", "DELETE")
    ]


def _postgresql() -> list[str]:
    made = []
    for table, refusals in REFUSED.items():
        checks = " ".join(f"IF {when} THEN {_raise(word)} END IF;" for when, word in refusals)
        made += _trigger(f"{table}_checks", table, "BEFORE INSERT", "ROW", f"{checks} RETURN NEW;")
    for table, cases in FOLLOWS.items():
        id = "NEW.id" if table == "ledger_transfers" else "NEW.transfer_id"
        body = ""
        for when, statements in cases:
            first = statements[0] + ";" if statements[0] is OPEN_BALANCES else ""
            rest = statements[1:] if first else statements
            body += f"IF {when} THEN {first} {_locked(id)} {' '.join(one + ';' for one in rest)} END IF; "
        made += _trigger(f"{table}_follows", table, "AFTER INSERT", "ROW", f"{body} RETURN NULL;")
    for table in KEPT:
        event = "BEFORE UPDATE OR DELETE OR TRUNCATE"
        made += _trigger(f"{table}_kept", table, event, "STATEMENT", _raise("ledger_immutable"))
    return made


def _locked(id: str) -> str:
    """Balances are locked in the order of their names, so that two transfers never wait for each other."""
    return (
        "PERFORM 1 FROM ledger_balances b WHERE (b.account, b.currency) IN "
        f"(SELECT account, currency FROM ledger_postings WHERE transfer_id = {id}) "
        "ORDER BY b.account, b.currency FOR UPDATE;"
    )


def _raise(word: str) -> str:
    return f"RAISE EXCEPTION '{word}' USING ERRCODE = 'check_violation';"


def _trigger(name: str, table: str, event: str, each: str, body: str) -> list[str]:
    return [
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$",
        f"CREATE TRIGGER {name} {event} ON {table} FOR EACH {each} EXECUTE FUNCTION {name}()",
    ]


def downgrade() -> None:
    op.execute(sa.text("DROP VIEW ledger_entries"))
    for table in ("orders", "resolutions", "postings", "transfers", "balances", "accounts"):
        op.drop_table(f"ledger_{table}")
    if op.get_bind().dialect.name == "postgresql":
        names = [f"{table}_checks" for table in REFUSED] + [f"{table}_follows" for table in FOLLOWS]
        for name in [*names, *(f"{table}_kept" for table in KEPT)]:
            op.execute(sa.text(f"DROP FUNCTION {name}()"))
