"""Providers' statements as CSV (pure): Stripe's balance report, Midtrans', Xendit's, and a plain one."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from origin.contract import Money
from origin.ledger.settlement import Settled
from origin.money import money

MOST_LINES = 200_000
LONGEST_VALUE = 40


class BadStatement(ValueError):
    """A file that can't be read as a statement; the text names line, column, value and what is expected."""


@dataclass(frozen=True, slots=True)
class Format:
    """How a provider writes a statement: the columns by what we call them, each with its names.

    `occasions` are its words for what happened; what is missing there is passed over where it is in
    `ignored`, and refused elsewhere. `currency` stands where the file has none. `signed`: amounts that went
    out are negative already.
    """

    columns: Mapping[str, Sequence[str]]
    occasions: Mapping[str, str]
    ignored: frozenset[str] = frozenset()
    needed: Sequence[str] = ("gross",)
    currency: str = ""
    signed: bool = True
    only: Mapping[str, frozenset[str]] = field(default_factory=dict)


OURS = {name: name for name in ("payment", "refund", "chargeback", "reversal", "fee", "payout")}
FORMATS: Mapping[str, Format] = {
    "plain": Format(
        columns={
            "occasion": ("occasion",), "order": ("order",), "reference": ("reference",), "gross": ("gross",),
            "fee": ("fee",), "currency": ("currency",), "day": ("day",),
        },
        occasions=OURS,
        needed=("occasion", "reference", "gross", "currency"),
    ),
    "stripe": Format(
        columns={
            "occasion": ("reporting_category", "Type"), "reference": ("source_id", "charge_id", "Source"),
            "order": ("payment_metadata[order]", "order (metadata)"), "gross": ("gross", "Amount"),
            "fee": ("fee", "Fee"), "currency": ("currency", "Currency"),
            "day": ("created_utc", "created", "Created (UTC)"),
        },
        occasions={
            "charge": "payment", "payment": "payment", "refund": "refund", "payment_refund": "refund",
            "dispute": "chargeback", "dispute_reversal": "reversal", "fee": "fee", "stripe_fee": "fee",
            "payout": "payout",
        },
        needed=("occasion", "reference", "gross", "currency"),
    ),
    "midtrans": Format(
        columns={
            "occasion": ("Transaction type", "Transaction Type"), "reference": ("Transaction ID",),
            "order": ("Order ID",), "gross": ("Gross Amount", "Amount"), "fee": ("Fee", "Fee Amount", "MDR"),
            "status": ("Status", "Transaction status", "Transaction Status"),
            "day": ("Transaction time", "Transaction Date", "Date & Time"),
        },
        occasions={"payment": "payment", "refund": "refund", "chargeback": "chargeback", "payout": "payout"},
        needed=("order", "gross"),
        currency="IDR",
        signed=False,
        only={
            "status": frozenset(
                ("settlement", "settled", "success", "capture", "refund", "partial_refund")
            )
        },
    ),
    "xendit": Format(
        columns={
            "occasion": ("Type", "Transaction Type"),
            "reference": ("Product ID", "Payment ID", "Transaction ID"),
            "order": ("Reference", "Reference ID", "External ID"), "gross": ("Amount",),
            "fee": ("Fee", "Xendit Fee", "Fee Amount"), "tax": ("Fee VAT", "VAT", "Value Added Tax"),
            "currency": ("Currency",), "status": ("Status",),
            "day": ("Created Date", "Created", "Transaction Date", "Timestamp"),
        },
        occasions={
            "payment": "payment", "refund": "refund", "chargeback": "chargeback", "withdrawal": "payout",
            "disbursement": "payout",
        },
        ignored=frozenset(("transfer", "topup", "batch_disbursement")),
        needed=("occasion", "reference", "gross"),
        currency="IDR",
        signed=False,
        only={
            "status": frozenset(
                ("successful", "success", "settled", "refunded", "partially_refunded", "completed")
            )
        },
    ),
}  # fmt: skip
TAKES_OUT = frozenset(("refund", "chargeback", "payout"))


def read(name: str, text: str) -> list[Settled]:
    """The lines of a statement in the format called `name`. Raises BadStatement; then nothing was read."""
    format = FORMATS.get(name)
    if format is None:
        raise BadStatement(f"format: got {name[:LONGEST_VALUE]!r}, expected one of {', '.join(FORMATS)}")
    head, _, _ = text.partition("\n")
    delimiter = ";" if head.count(";") > head.count(",") else ","
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), delimiter=delimiter, strict=True)
    try:
        columns = _columns(format, reader.fieldnames or ())
        found: list[Settled] = []
        for row in reader:
            if len(found) >= MOST_LINES:
                raise BadStatement(f"more than {MOST_LINES} lines, expected a shorter time in each file")
            line = _line(format, {key: row.get(column) for key, column in columns.items()}, reader.line_num)
            if line is not None:
                found.append(line)
    except csv.Error as error:
        raise BadStatement(f"line {reader.line_num + 1}: {error}, expected CSV") from error
    return found


def _columns(format: Format, heads: Sequence[str]) -> dict[str, str]:
    by_name = {head.strip().lower(): head for head in heads}
    found = {}
    for key, names in format.columns.items():
        head = next((by_name[name.lower()] for name in names if name.lower() in by_name), None)
        if head is not None:
            found[key] = head
        elif key in format.needed:
            shown = ", ".join(head.strip()[:LONGEST_VALUE] for head in heads) or "nothing"
            raise BadStatement(f"columns: got {shown}; expected one called {' or '.join(names)}")
    return found


def _line(format: Format, row: Mapping[str, str | None], number: int) -> Settled | None:
    cells = {key: (value or "").strip() for key, value in row.items()}
    if not any(cells.values()):
        return None
    for key, accepted in format.only.items():
        if cells.get(key) and cells[key].lower().replace(" ", "_") not in accepted:
            return None
    word = (cells.get("occasion") or "payment").lower().replace(" ", "_")
    occasion = format.occasions.get(word)
    if occasion is None:
        if word in format.ignored:
            return None
        known = ", ".join(format.occasions)
        raise BadStatement(f"line {number}: occasion: got {word[:LONGEST_VALUE]!r}, expected one of {known}")
    try:
        currency = (cells.get("currency") or format.currency).upper()
        gross = money(_number(cells["gross"]), currency)
        fee = money(_number(cells.get("fee") or "0"), currency)
        tax = money(_number(cells.get("tax") or "0"), currency)
        day = date.fromisoformat(cells["day"][:10]) if cells.get("day") else None
    except ValueError as error:
        raise BadStatement(f"line {number}: {error}") from error
    if not format.signed:
        gross = Money(-abs(gross.minor) if occasion in TAKES_OUT else abs(gross.minor), currency)
        fee = Money(abs(fee.minor) + abs(tax.minor), currency)
    return Settled(number, occasion, cells.get("order", ""), cells.get("reference", ""), gross, fee, day)


def _number(text: str) -> str:
    """A number without grouping: 1,234.50 and Rp 1.234,50 are both 1234.50; 1.234 stays what it is."""
    plain = text.removeprefix("Rp").removeprefix("IDR").strip()
    if "," in plain and "." in plain:
        if plain.rfind(",") > plain.rfind("."):
            return plain.replace(".", "").replace(",", ".")
        return plain.replace(",", "")
    return plain.replace(",", "")
