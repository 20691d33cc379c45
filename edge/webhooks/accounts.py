"""Which providers a node may believe, and for which sites: from its configuration and its environment."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from typing import Protocol

from edge.webhooks.contract import Provider
from edge.webhooks.standard import Standard

GROUP = "tepi.webhooks"
_OTHERS = re.compile(r"TEPI_([A-Z0-9_]+)_WEBHOOK_SECRET")


class Account(Protocol):
    """What one provider's webhooks are verified with; secrets are references."""

    @property
    def provider(self) -> str: ...

    @property
    def site(self) -> str | None: ...

    @property
    def settings(self) -> Mapping[str, str]: ...


class BadAccount(Exception):
    """A provider's setting is wrong; the text names it, never a secret."""


@cache
def kinds() -> Mapping[str, type[Provider]]:
    """Every installed provider by its name; built-in ones are among them."""
    return {point.name: point.load() for point in entry_points(group=GROUP)}


def kind_of(provider: str) -> type[Provider]:
    """How `provider` signs: as installed under its name, else by Standard Webhooks."""
    return kinds().get(provider, Standard)


class Accounts:
    """Providers by site and name."""

    def __init__(self, made: Mapping[tuple[str | None, str], Provider] | None = None) -> None:
        self._made = dict(made or {})

    def find(self, site: str, provider: str) -> Provider | None:
        """Who `provider` is for `site`, if it has its secrets."""
        return self._made.get((site, provider)) or self._made.get((None, provider))

    def known(self, provider: str) -> bool:
        """Whether there is such a provider at all."""
        return provider in kinds() or any(name == provider for _, name in self._made)

    def __len__(self) -> int:
        return len(self._made)


def accounts_of(
    configured: Iterable[Account], environment: Mapping[str, str], resolve: Callable[[str], str]
) -> Accounts:
    """The accounts that are configured, and those that the environment brings for every other site.

    Raises BadAccount, and what `resolve` does.
    """
    made: dict[tuple[str | None, str], Provider] = {}
    for provider, settings in _in(environment).items():
        made[None, provider] = _made(provider, settings, "the environment")
    for account in configured:
        known = {one.name: one for one in kind_of(account.provider).settings}
        settings = {
            name: resolve(value) if known[name].secret else value for name, value in account.settings.items()
        }
        where = f"webhooks.accounts ({account.provider}, {account.site or 'every site'})"
        made[account.site, account.provider] = _made(account.provider, settings, where)
    return Accounts(made)


def variable(provider: str, setting: str) -> str:
    """The environment's name for a provider's setting: TEPI_STRIPE_WEBHOOK_SECRET."""
    return f"TEPI_{provider}_{setting}".upper().replace("-", "_")


def _in(environment: Mapping[str, str]) -> Mapping[str, Mapping[str, str]]:
    """Each provider's settings that the environment holds, of providers that have any."""
    found: dict[str, Mapping[str, str]] = {}
    for provider, kind in kinds().items():
        settings = {
            one.name: value
            for one in kind.settings
            if (value := environment.get(variable(provider, one.name), "").strip())
        }
        if any(one.secret and one.name in settings for one in kind.settings):
            found[provider] = settings
    for name, value in environment.items():
        match = _OTHERS.fullmatch(name)
        provider = match[1].lower().replace("_", "-") if match else ""
        if provider and provider not in kinds() and value.strip():
            found[provider] = {"webhook_secret": value.strip()}
    return found


def _made(provider: str, settings: Mapping[str, str], where: str) -> Provider:
    kind = kind_of(provider)
    whole = {one.name: one.default for one in kind.settings if one.default is not None} | dict(settings)
    for one in kind.settings:
        if one.name not in whole:
            raise BadAccount(f"{where}: {provider} lacks {one.name} ({variable(provider, one.name)})")
    try:
        return kind(whole)
    except ValueError as error:
        raise BadAccount(f"{where}: {error}") from error
