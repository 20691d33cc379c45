"""The sandbox's book: payments, refunds, answered requests and webhooks to send, in a file of its own."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

SCHEMA = """
CREATE TABLE IF NOT EXISTS payments (
    id TEXT PRIMARY KEY, payment TEXT NOT NULL, state TEXT NOT NULL, amount INTEGER NOT NULL,
    captured INTEGER NOT NULL DEFAULT 0, refunded INTEGER NOT NULL DEFAULT 0, document TEXT NOT NULL,
    until REAL NOT NULL, CHECK (captured <= amount), CHECK (refunded <= captured));
CREATE INDEX IF NOT EXISTS payments_by_name ON payments (payment);
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, asked TEXT NOT NULL, answer TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS hooks (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, body TEXT NOT NULL, next_at REAL NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0);
"""
FINAL = frozenset({"paid", "failed", "expired", "cancelled"})


class Wrong(Exception):
    """What was asked can't be done; `status` is HTTP's."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Book:
    """Every change is one transaction with the webhook that tells of it."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.executescript(SCHEMA)

    def close(self) -> None:
        """Gives the file back."""
        self._database.close()

    def create(self, document: Mapping[str, Any], now: float) -> dict[str, Any]:
        """A payment that nobody has paid yet."""
        id = f"sb_{secrets.token_hex(12)}"
        with self._changing():
            self._database.execute(
                "INSERT INTO payments (id, payment, state, amount, document, until) VALUES (?,?,?,?,?,?)",
                (
                    id,
                    document["payment"],
                    "pending",
                    document["amount"],
                    json.dumps(document),
                    document["expires_at"],
                ),
            )
            return self._told(id, now, now)

    def find(self, id: str, now: float) -> dict[str, Any]:
        """A payment as it is now. Raises Wrong."""
        row = self._database.execute("SELECT * FROM payments WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise Wrong(404, f"no payment {id}")
        if row["state"] == "pending" and row["until"] <= now:
            with self._changing():
                self._database.execute("UPDATE payments SET state = 'expired' WHERE id = ?", (id,))
                return self._told(id, now, now)
        return _shown(row)

    def named(self, payment: str, now: float) -> list[dict[str, Any]]:
        """The payments that the shop calls so."""
        found = self._database.execute("SELECT id FROM payments WHERE payment = ?", (payment,)).fetchall()
        return [self.find(row["id"], now) for row in found]

    def finish(self, id: str, state: str, now: float, hook_at: float) -> dict[str, Any]:
        """The visitor or the shop has decided: paid (authorized, if the shop captures), failed, cancelled."""
        before = self.find(id, now)
        if before["state"] in FINAL:
            if before["state"] == state:
                return before
            raise Wrong(409, f"the payment is {before['state']}")
        if state == "paid" and not before["capture"] and before["state"] == "pending":
            state = "authorized"
        with self._changing():
            self._database.execute("UPDATE payments SET state = ? WHERE id = ?", (state, id))
            if state == "paid":
                self._database.execute("UPDATE payments SET captured = amount WHERE id = ?", (id,))
            return self._told(id, now, hook_at)

    def note(self, id: str, more: Mapping[str, Any]) -> None:
        """What the payment's document says from now on, beside what it said. Raises Wrong."""
        row = self._database.execute("SELECT document FROM payments WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise Wrong(404, f"no payment {id}")
        document = json.dumps({**json.loads(row["document"]), **more})
        self._database.execute("UPDATE payments SET document = ? WHERE id = ?", (document, id))

    def capture(self, id: str, amount: int, now: float, hook_at: float) -> dict[str, Any]:
        """Takes a part or all of what was authorized."""
        before = self.find(id, now)
        if before["state"] != "authorized" or not 0 < amount <= before["amount"]:
            raise Wrong(409, f"{amount} of a payment that is {before['state']} with {before['amount']}")
        with self._changing():
            self._database.execute(
                "UPDATE payments SET state = 'paid', captured = ? WHERE id = ?", (amount, id)
            )
            return self._told(id, now, hook_at)

    def refund(self, id: str, amount: int, now: float, hook_at: float) -> dict[str, Any]:
        """Gives a part or all back."""
        before = self.find(id, now)
        left = before["captured"] - before["refunded"]
        if not 0 < amount <= left:
            raise Wrong(422, f"amount: got {amount}, expected 1 to {left}")
        with self._changing():
            self._database.execute("UPDATE payments SET refunded = refunded + ? WHERE id = ?", (amount, id))
            return self._told(id, now, hook_at)

    def totals(self) -> dict[str, int]:
        """All that was ever captured and given back."""
        row = self._database.execute(
            "SELECT count(*) AS payments, coalesce(sum(captured), 0) AS captured, "
            "coalesce(sum(refunded), 0) AS refunded FROM payments"
        ).fetchone()
        return dict(row)

    # Requests that were answered ------------------------------------------------------------------

    def answered(self, key: str, asked: str) -> dict[str, Any] | None:
        """What was answered to this key. Raises Wrong: it was asked something else."""
        row = self._database.execute("SELECT * FROM answers WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        if row["asked"] != asked:
            raise Wrong(422, "the key was used for another request")
        found: dict[str, Any] = json.loads(row["answer"])
        return found

    def remember(self, key: str, asked: str, answer: Mapping[str, Any]) -> None:
        """Keeps an answer under its key."""
        self._database.execute(
            "INSERT OR IGNORE INTO answers VALUES (?,?,?)", (key, asked, json.dumps(answer))
        )

    # Webhooks -------------------------------------------------------------------------------------

    def due(self, now: float, most: int) -> list[tuple[int, str, str, int]]:
        """Webhooks to send now: number, id, body, tries before."""
        found = self._database.execute(
            "SELECT number, id, body, tries FROM hooks WHERE next_at <= ? ORDER BY number LIMIT ?",
            (now, most),
        ).fetchall()
        return [(row["number"], row["id"], row["body"], row["tries"]) for row in found]

    def waiting(self) -> int:
        """How many webhooks are still to be taken."""
        return int(self._database.execute("SELECT count(*) FROM hooks").fetchone()[0])

    def taken(self, number: int) -> None:
        """A webhook was taken."""
        self._database.execute("DELETE FROM hooks WHERE number = ?", (number,))

    def later(self, number: int, at: float) -> None:
        """A webhook was not taken."""
        self._database.execute(
            "UPDATE hooks SET next_at = ?, tries = tries + 1 WHERE number = ?", (at, number)
        )

    def _changing(self) -> _Transaction:
        return _Transaction(self._database)

    def _told(self, id: str, now: float, hook_at: float) -> dict[str, Any]:
        with closing(self._database.execute("SELECT * FROM payments WHERE id = ?", (id,))) as found:
            shown = _shown(found.fetchone())
        self.announce(f"payment.{shown['state']}", shown, now, hook_at)
        return shown

    def tell(self, id: str, more: Mapping[str, Any], now: float, hook_at: float) -> dict[str, Any]:
        """Tells of a payment with `more` beside it. Raises Wrong."""
        told = {**self.find(id, now), **more}
        self.announce("payment.told", told, now, hook_at)
        return told

    def announce(self, kind: str, data: Mapping[str, Any], now: float, hook_at: float) -> None:
        """A webhook to send."""
        event = f"evt_{secrets.token_hex(12)}"
        body = {"id": event, "type": kind, "at": now, "data": data}
        self._database.execute(
            "INSERT INTO hooks (id, body, next_at) VALUES (?,?,?)", (event, json.dumps(body), hook_at)
        )


class _Transaction:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")


def _shown(row: sqlite3.Row) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(row["document"])
    known = {name: row[name] for name in ("id", "state", "captured", "refunded")}
    return {**document, **known}
