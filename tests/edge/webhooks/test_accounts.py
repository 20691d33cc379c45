"""Whose webhooks are believed: configuration, environment, and errors that name no secret."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from edge.webhooks.accounts import BadAccount, accounts_of
from edge.webhooks.meta import Meta
from edge.webhooks.standard import Standard
from edge.webhooks.stripe import Stripe


@dataclass(frozen=True, slots=True)
class Given:
    provider: str
    site: str | None = None
    settings: dict[str, str] = field(default_factory=dict)


def resolved(reference: str) -> str:
    return {"file:/s": "whsec_AAAA", "env:S": "s"}[reference]


def test_the_environment_is_enough() -> None:
    found = accounts_of((), {"TEPI_STRIPE_WEBHOOK_SECRET": "whsec_x", "TEPI_META_APP_SECRET": "s"}, resolved)
    assert isinstance(found.find("shop", "stripe"), Stripe)
    assert isinstance(found.find("any", "meta"), Meta)
    assert found.find("shop", "xendit") is None
    assert found.known("xendit")
    assert not found.known("acme")


def test_anything_else_signs_by_standard_webhooks() -> None:
    found = accounts_of((), {"TEPI_MY_ERP_WEBHOOK_SECRET": "whsec_AAAA"}, resolved)
    assert isinstance(found.find("shop", "my-erp"), Standard)


def test_a_sites_own_account_goes_before_everybodys() -> None:
    own = Given("stripe", "shop", {"webhook_secret": "file:/s"})
    found = accounts_of([own], {"TEPI_STRIPE_WEBHOOK_SECRET": "whsec_x"}, resolved)
    assert found.find("shop", "stripe") is not found.find("other", "stripe")
    assert accounts_of([own], {}, resolved).find("other", "stripe") is None


@pytest.mark.parametrize(
    ("environment", "names"),
    [
        ({"TEPI_ACME_WEBHOOK_SECRET": "hush!"}, "whsec_ and base64"),
        ({"TEPI_ACME_WEBHOOK_SECRET": "whsec_"}, "whsec_ and base64"),
        ({"TEPI_SNAPBI_PUBLIC_KEY": "hush!"}, "public_key"),
        ({"TEPI_MIDTRANS_MERCHANT_KEY": "hush!"}, "TEPI_MIDTRANS_SERVER_KEY"),
        ({"TEPI_BITESHIP_WEBHOOK_SECRET": "hush!", "TEPI_BITESHIP_MODE": "loud"}, "mode"),
    ],
)
def test_what_is_wrong_is_named_and_no_secret_shown(environment: dict[str, str], names: str) -> None:
    with pytest.raises(BadAccount, match=names) as refused:
        accounts_of((), environment, resolved)
    assert "hush!" not in str(refused.value)


def test_an_empty_variable_is_no_secret() -> None:
    found = accounts_of((), {"TEPI_STRIPE_WEBHOOK_SECRET": " ", "TEPI_ACME_WEBHOOK_SECRET": ""}, resolved)
    assert len(found) == 0
