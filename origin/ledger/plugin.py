"""The ledger as a plugin: its declaration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar
from zoneinfo import ZoneInfo

import click
from pydantic import BaseModel, ConfigDict, Field, field_validator

from origin.contract import Host, Page, Plugin, PluginDefaults, Task
from origin.ledger.book import Book
from origin.ledger.commands import ledger
from origin.ledger.pages import PERMISSION, Pages
from origin.ledger.reading import Reading
from origin.ledger.transfer import FAMILIES, FIXED, NAME, Bound

HERE = Path(__file__).parent
LEARN_EVERY = 2.0  # seconds


class OwnAccount(BaseModel):
    """An account of the operator's own, beside the chart."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str = Field(description="Its name, by beancount's rules: Liabilities:Vouchers.")
    bound: Bound = Field(
        "none",
        description="`debits`: never more debited than credited (what is owed); `credits`: the reverse.",
    )

    @field_validator("name")
    @classmethod
    def _is_free(cls, name: str) -> str:
        if NAME.fullmatch(name) is None or len(name) > 255:
            raise ValueError("expected Assets, Liabilities, Equity, Income or Expenses, and :Names after it")
        if name in FIXED or name.startswith(tuple(FAMILIES)):
            raise ValueError("expected a name that is not in the chart already")
        return name


class LedgerSettings(BaseModel):
    """The ledger's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    timezone: str = Field(
        "UTC",
        description="The clock by which days begin, such as Asia/Jakarta; what is booked keeps its day.",
    )
    accounts: list[OwnAccount] = Field([], description="Accounts beside the chart.")

    @field_validator("timezone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ValueError, LookupError, OSError):
            raise ValueError("expected a name of the tz database, such as Asia/Jakarta") from None
        return name


@dataclass(slots=True)
class LedgerPlugin(PluginDefaults):
    """Double entry for every network of the shop."""

    name: ClassVar[str] = "ledger"
    settings: ClassVar[type[BaseModel]] = LedgerSettings
    book: Book = field(init=False)
    _pages: Pages = field(init=False)

    async def start(self, host: Host) -> None:
        """Opens the operator's accounts and offers the ledger."""
        settings = host.settings
        assert isinstance(settings, LedgerSettings)
        own = {one.name: one.bound for one in settings.accounts}
        self.book = Book(host, ZoneInfo(settings.timezone), own)
        self._pages = Pages(self.book, Reading(host))
        await self.book.open_accounts()
        await self.book.learn_accounts()
        host.offer("ledger", self.book)

    def migrations(self) -> Path:
        """Accounts, transfers, postings and balances."""
        return HERE / "migrations"

    def emits(self) -> Iterable[str]:
        """What becomes of transfers."""
        yield from ("ledger.booked", "ledger.reserved", "ledger.voided")

    def tasks(self) -> Iterable[Task]:
        """New accounts are remembered."""
        yield Task("learn accounts", LEARN_EVERY, self.book.learn_accounts)

    def permissions(self) -> Iterable[str]:
        """Who may see what the shop earns."""
        yield PERMISSION

    def commands(self) -> Iterable[click.Command]:
        """`tepi origin ledger …`."""
        yield ledger

    def pages(self) -> Iterable[Page]:
        """Reports, exports and reconciliation."""
        yield from self._pages.all()


_: type[Plugin] = LedgerPlugin
