"""What a transfer may be, before anything is written (pure): accounts, amounts, balance, and its digest."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Literal, get_args

from origin.contract import About, Chart, Money, Occasion, Posting, Unbookable
from origin.money import checked

Bound = Literal["none", "debits", "credits"]
Phase = Literal["posted", "pending"]

FIXED = frozenset(
    (Chart.SALES, Chart.SHIPPING, Chart.REFUNDS, Chart.TAXES, Chart.CHARGEBACKS, Chart.ROUNDING, Chart.BANK)
)
FAMILIES: Mapping[str, Bound] = {
    "Assets:Clearing:": "none",  # a provider may be owed more than it holds, after refunds
    "Expenses:Fees:": "none",
    "Liabilities:Sellers:": "debits",
}
NAME = re.compile(r"(Assets|Liabilities|Equity|Income|Expenses)(:[A-Z0-9][A-Za-z0-9-]*)+")
NOTHING = About()
OF_AN_ORDER = frozenset(("payment", "refund", "chargeback", "reversal"))
LONGEST = {"transfer": 200, "order": 120, "provider": 63, "method": 63, "reference": 200, "memo": 1000}


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer that may be written. `accounts` are those it touches, each with its bound."""

    id: str
    phase: Phase
    postings: tuple[Posting, ...]
    memo: str
    about: About
    accounts: Mapping[str, Bound]

    @property
    def digest(self) -> str:
        """The same for the same content, in whatever order its postings come."""
        lines = sorted((one.account, one.amount.currency, one.amount.minor) for one in self.postings)
        content = [self.phase, self.memo, astuple(self.about), lines]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()

    @property
    def worth(self) -> Mapping[str, int]:
        """By currency, what came in for the order; negative: what went out. Fees a provider keeps count."""
        sums: dict[str, int] = {}
        for one in self.postings:
            if one.account.startswith(("Assets:", "Expenses:Fees:")):
                sums[one.amount.currency] = sums.get(one.amount.currency, 0) + one.amount.minor
        return sums


def checked_transfer(
    id: str, phase: Phase, postings: Sequence[Posting], memo: str, about: About, own: Mapping[str, Bound]
) -> Transfer:
    """The transfer; `own` are the accounts that the operator added to the chart. Raises Unbookable."""
    texts = {"transfer": id, "memo": memo, "order": about.order, "provider": about.provider}
    for field, text in {**texts, "method": about.method, "reference": about.reference}.items():
        if len(text) > LONGEST[field] or "\0" in text:
            raise Unbookable(
                field, f"got {text[:40]!r}, expected at most {LONGEST[field]} characters, no NUL"
            )
    if not id:
        raise Unbookable("transfer", "got nothing, expected an id of its own")
    if about.occasion not in get_args(Occasion):
        raise Unbookable(
            "about.occasion", f"got {about.occasion!r}, expected one of {', '.join(get_args(Occasion))}"
        )
    if about.occasion in OF_AN_ORDER and not about.order:
        raise Unbookable("about.order", f"got nothing, expected the order that the {about.occasion} is of")
    if len(postings) < 2:
        raise Unbookable("postings", f"got {len(postings)}, expected two or more")
    accounts = {}
    for number, one in enumerate(postings):
        accounts[one.account] = bound_of(f"postings.{number}.account", one.account, own)
        _check_amount(f"postings.{number}", one.amount)
    _check_balance(postings)
    made = Transfer(id, phase, tuple(postings), memo, about, accounts)
    _check_direction(made)
    return made


def bound_of(field: str, account: str, own: Mapping[str, Bound]) -> Bound:
    """What bounds `account`. Raises Unbookable: it does not stand in the chart."""
    if account in own:
        return own[account]
    if account in FIXED:
        return "none"
    family = next((one for one in FAMILIES if account.startswith(one)), None)
    if family is None or NAME.fullmatch(account) is None:
        known = ", ".join([*sorted(FIXED), *(f"{one}…" for one in FAMILIES), *own])
        raise Unbookable(field, f"got {account[:80]!r}, expected one of {known}")
    return FAMILIES[family]


def _check_amount(field: str, amount: Money) -> None:
    try:
        checked(amount)
    except ValueError as error:
        raise Unbookable(field, str(error)) from error
    if amount.minor == 0:
        raise Unbookable(f"{field}.amount", "got 0, expected an amount that moves something")


def _check_balance(postings: Sequence[Posting]) -> None:
    sums: dict[str, int] = {}
    for one in postings:
        sums[one.amount.currency] = sums.get(one.amount.currency, 0) + one.amount.minor
    for currency, total in sums.items():
        if total:
            raise Unbookable("postings", f"{currency} sums to {total}, expected 0")


def _check_direction(transfer: Transfer) -> None:
    """A payment or a reversal brings in, a refund or a chargeback takes out."""
    occasion = transfer.about.occasion
    if occasion not in OF_AN_ORDER:
        return
    sign = 1 if occasion in ("payment", "reversal") else -1
    for currency, worth in transfer.worth.items():
        if worth * sign <= 0:
            way = "debits" if sign > 0 else "credits"
            raise Unbookable(
                "postings",
                f"a {occasion} of {worth} {currency}, expected one that {way} the provider's clearing",
            )
    if not transfer.worth:
        raise Unbookable("postings", f"a {occasion} that moves no asset, expected one of a clearing account")
