"""The table that says how a node takes webhooks in: where they are kept, and whose they may be."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from edge.document.notation import Many, Name, Reference, Size, Table
from edge.webhooks.accounts import kind_of


class HookAccount(Table):
    """What one provider's webhooks are verified with."""

    provider: Name = Field(
        description="Its name in the URL. One that Tepi does not know signs by Standard Webhooks."
    )
    site: Name | None = Field(
        None, description="Only for this site's; unset, for every site without its own."
    )
    settings: dict[str, str] = Field(
        description="The provider's settings by name; secrets as file:PATH or env:NAME."
    )

    @model_validator(mode="after")
    def _fits_its_provider(self) -> Self:
        known = {setting.name: setting for setting in kind_of(self.provider).settings}
        for name, value in self.settings.items():
            if name not in known:
                raise ValueError(f"settings of {self.provider} among {', '.join(known)}; {name} is none")
            if known[name].secret and not value.startswith(("file:", "env:")):
                raise ValueError(f"file:PATH or env:NAME for {name}, where the secret itself lies")
        missing = [name for name, one in known.items() if one.default is None and name not in self.settings]
        if missing:
            raise ValueError(f"{missing[0]} among the settings of {self.provider}")
        return self


class WebhooksTable(Table):
    """Webhooks, taken in durably and handed to the commerce origin."""

    secret: Reference = Field(
        description="What the origin knows this node's deliveries by (whsec_…), as file:PATH or env:NAME."
    )
    spool: str = Field("", description="Directory of what waits for the origin; empty: spool in `state`.")
    limit: Size = Field(256 * 2**20, description="Bytes that may wait; more are answered 503.")
    max_body: Size = Field(2**20, description="Bytes of one webhook; more are answered 413.")
    attempts: int = Field(
        12, ge=1, le=1000, description="Failures of the origin over one webhook that make it a dead letter."
    )
    accounts: Annotated[tuple[HookAccount, ...], Many] = Field(
        (),
        description="Providers and their secrets, beside the environment's (TEPI_<PROVIDER>_<SETTING>).",
    )

    @model_validator(mode="after")
    def _are_told_apart(self) -> Self:
        seen = set()
        for account in self.accounts:
            if (account.provider, account.site) in seen:
                raise ValueError(f"one account of {account.provider} for {account.site or 'every site'}")
            seen.add((account.provider, account.site))
        return self
