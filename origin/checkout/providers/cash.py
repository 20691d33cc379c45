"""Cash on delivery: nobody is asked. Who brings the goods takes the money, and the operator says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from origin.checkout.order import Method
from origin.checkout.providers.contract import Charge, Notice, Order, ProviderDefaults, Tools
from origin.contract import Money


class CashSettings(BaseModel):
    """Visitors may pay who brings the goods. The table is empty: `[plugins.checkout.providers.cash]`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Cash(ProviderDefaults):
    """An order is placed at once; it is paid when it is captured by command."""

    name: ClassVar[str] = "cash"
    settings: ClassVar[type[BaseModel]] = CashSettings
    methods: Mapping[Method, tuple[str, ...]] = {"cash_on_delivery": ()}

    def __init__(self, settings: CashSettings, tools: Tools) -> None:
        self._currency: dict[str, str] = {}

    async def create(self, order: Order, key: str) -> Charge:
        return Charge(order.payment, "authorized", Money(0, order.amount.currency))

    async def capture(self, reference: str, amount: Money, key: str) -> Charge:
        return Charge(reference, "paid", amount)

    async def cancel(self, reference: str, key: str) -> Charge:
        return Charge(reference, "cancelled", Money(0, ""))

    async def refund(self, reference: str, amount: Money, key: str) -> Charge:
        return Charge(reference, "paid", Money(0, amount.currency))

    async def status(self, payment: str, reference: str | None) -> Charge | None:
        return None

    def parse(self, event: Mapping[str, Any]) -> Notice | None:
        return None
