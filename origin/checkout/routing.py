"""Which provider is asked to take a payment, and who is next if it can't. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from origin.checkout.order import Method
from origin.checkout.settings import Cost, Preference
from origin.contract import Money

ENOUGH = 20  # payments from which on a success rate says something


@dataclass(frozen=True, slots=True)
class Wish:
    """A payment that somebody has to take."""

    method: Method
    channel: str | None
    amount: Money
    country: str | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A provider, as it is now. `worked` of `tried` payments of the method came to money lately."""

    name: str
    methods: Mapping[Method, tuple[str, ...]]
    takes: bool  # the currency
    resting: bool = False
    tried: int = 0
    worked: int = 0

    @property
    def success(self) -> int:
        """Tenths of payments that come to money; all, where too few were tried to tell."""
        return 10 if self.tried < ENOUGH else round(10 * self.worked / self.tried)


def ordered(
    wish: Wish, candidates: Sequence[Candidate], preferences: Sequence[Preference], costs: Sequence[Cost]
) -> list[str]:
    """Names of the providers that can take it, whom to ask first first.

    The operator's preference decides; else who succeeds most, and among equals who costs least. Who rests is
    asked only if nobody else can.
    """
    fit = [one for one in candidates if _fits(one, wish)]
    liked = _liked(wish, preferences)

    def rank(one: Candidate) -> tuple[bool, int, int, Decimal, str]:
        place = liked.index(one.name) if one.name in liked else len(liked)
        return one.resting, place, -one.success, cost_of(one.name, wish, costs), one.name

    return [one.name for one in sorted(fit, key=rank)]


def cost_of(provider: str, wish: Wish, costs: Sequence[Cost]) -> Decimal:
    """What `provider` takes of the payment, in minor units, by the first cost that fits."""
    for one in costs:
        if one.provider == provider and one.method in (None, wish.method):
            return one.fixed + wish.amount.minor * Decimal(one.percent) / 100
    return Decimal(0)


def methods_of(candidates: Sequence[Candidate]) -> dict[Method, list[str]]:
    """What can be paid with at all, and the channels of each method."""
    found: dict[Method, list[str]] = {}
    for one in candidates:
        if one.takes:
            for method, channels in one.methods.items():
                known = found.setdefault(method, [])
                known += [channel for channel in channels if channel not in known]
    return found


def _fits(one: Candidate, wish: Wish) -> bool:
    if not one.takes or wish.method not in one.methods:
        return False
    channels = one.methods[wish.method]
    return wish.channel in channels if channels else wish.channel is None


def _liked(wish: Wish, preferences: Sequence[Preference]) -> list[str]:
    for one in preferences:
        if (
            one.method in (None, wish.method)
            and one.currency in (None, wish.amount.currency)
            and one.country in (None, wish.country)
            and (one.at_least is None or wish.amount.minor >= one.at_least)
            and (one.below is None or wish.amount.minor < one.below)
        ):
            return one.providers
    return []
