"""What an operator tells the checkout: how long, what shipping and taxes cost, and who takes the money."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from origin.checkout.order import Method
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


class Preference(_Table):
    """Which providers are tried, in which order, for payments that fit. The first rule that fits holds."""

    providers: list[str] = Field(description="Names, the best first.", min_length=1)
    method: Method | None = Field(None, description="Only for this method.")
    currency: str | None = Field(None, description="Only for this currency.", pattern=r"^[A-Z]{3}$")
    country: Country | None = Field(None, description="Only for orders that go there.")
    at_least: int | None = Field(None, ge=0, description="Only from this amount on, in minor units.")
    below: int | None = Field(None, ge=0, description="Only below this amount, in minor units.")


class Cost(_Table):
    """What a provider takes of a payment: of several that may be asked, the cheapest is asked first."""

    provider: str = Field(description="Its name.")
    method: Method | None = Field(None, description="Only for this method.")
    fixed: int = Field(0, ge=0, description="Minor units of each payment.")
    percent: Annotated[str, AfterValidator(_percent)] = Field("0", description="Of each payment, as text.")


class CheckoutSettings(_Table):
    """The checkout's settings."""

    seconds: int = Field(
        3600, ge=60, le=604_800, description="Seconds that a session can be paid; its goods are held as long."
    )
    cart_seconds: int = Field(
        600, ge=30, le=3600, description="Seconds that a cart's token is good, and its goods are held."
    )
    cart_key: int = Field(
        1, ge=1, le=1_000_000, description="Number of the key that signs carts; the one before is still good."
    )
    cart_secret: str | None = Field(
        None,
        description="What those keys are made of, as file:PATH or env:NAME, 32 characters or more: "
        "the same for all origins of a shop. Unset, this origin's own secret.",
    )
    capture: Literal["at_once", "later"] = Field(
        "at_once", description="Whether cards are charged at once, or authorized and captured by command."
    )
    failures: int = Field(
        5, ge=1, le=1000, description="Failures of a provider in a row after which it is left alone."
    )
    rest: int = Field(
        30, ge=1, le=3600, description="Seconds until a provider that was left alone is tried again."
    )
    shipping: list[ShippingOption] = Field([], description="Ways to send orders.")
    taxes: list[TaxRate] = Field([], description="Taxes.")
    preferences: list[Preference] = Field([], description="Which providers are asked first.")
    costs: list[Cost] = Field([], description="What providers take.")
    providers: dict[str, dict[str, Any]] = Field(
        {}, description="A table of settings for each payment provider; secrets as file:PATH or env:NAME."
    )
