"""What an operator tells the checkout: how long, what shipping costs, which taxes there are."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from origin.money import LARGEST

Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _percent(text: str) -> str:
    try:
        value = Decimal(text)
    except ArithmeticError:
        value = Decimal(-1)
    if not value.is_finite() or not 0 <= value <= 100:
        raise ValueError("expected a number from 0 to 100, such as 11 or 8.875")
    return text


class ShippingOption(_Table):
    """A way to send orders. Without any, shipping costs nothing."""

    id: str = Field(description="What clients ask for it by.", pattern=r"^[a-z0-9_-]{1,63}$")
    names: dict[Literal["id", "en"], str] = Field(description="What visitors are shown, by language.")
    price: int = Field(ge=0, le=LARGEST, description="Minor units of the goods' currency: Rp 1 is 100.")
    countries: list[Country] = Field([], description="Where it goes, as ISO 3166; none: everywhere.")
    free_from: int | None = Field(
        None, ge=0, le=LARGEST, description="Goods for this much, in minor units, are sent for nothing."
    )


class TaxRate(_Table):
    """A tax on goods and shipping."""

    names: dict[Literal["id", "en"], str] = Field(description="What visitors are shown, by language.")
    percent: Annotated[str, AfterValidator(_percent)] = Field(description="As text, so that it is exact.")
    countries: list[Country] = Field([], description="Where it holds, as ISO 3166; none: everywhere.")
    included: bool = Field(True, description="Whether prices include it already.")


class CheckoutSettings(_Table):
    """The checkout's settings."""

    seconds: int = Field(
        3600, ge=60, le=604_800, description="Seconds that a session can be paid; its goods are held as long."
    )
    shipping: list[ShippingOption] = Field([], description="Ways to send orders.")
    taxes: list[TaxRate] = Field([], description="Taxes.")
