"""What rules see of an attempt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.lookup import shipped_centres
from origin.contract import Money, Visitor
from origin.risk.facts import MEANINGS, Before, facts_of, speed
from origin.risk.networks import kind_of, network_of
from tests.origin.risk.desks import HOME, attempt

NOW = 1_000_000.0
CENTRES = shipped_centres()


def test_an_attempt_of_which_nothing_is_known_has_every_fact() -> None:
    facts = facts_of(attempt("1", visitor=Visitor("?"), card="", card_country=""), NOW, "", {}, None, CENTRES)
    assert set(facts) == set(MEANINGS)
    assert (facts["country"], facts["session_age"], facts["travel_kmh"]) == ("", -1.0, -1.0)
    assert not facts["card_abroad"]


def test_countries_ages_and_amounts_are_told() -> None:
    one = attempt(
        "1", amount=Money(1500, "JPY"), card_country="us", shipping_country="ID", email="A.B@Mail.Example",
        session_started=NOW - 90, page_viewed=NOW - 5, device="d",
    )  # fmt: skip
    facts = facts_of(one, NOW, "hosting", {"email_hour": 3, "cards_day": 2}, None, CENTRES)
    assert (facts["amount"], facts["card_country"], facts["card_abroad"]) == (1500.0, "US", True)
    assert (facts["shipping_abroad"], facts["email_domain"]) == (False, "mail.example")
    assert (facts["session_age"], facts["page_age"], facts["has_device"]) == (90.0, 5.0, True)
    assert (facts["email_hour"], facts["email_day"], facts["cards_day"]) == (3, 0, 2)


def test_travel_is_as_fast_as_it_would_have_to_be() -> None:
    hour_ago = Before("US", NOW - 3600)
    assert 10_000 < speed("ID", NOW, hour_ago, CENTRES) < 20_000
    assert speed("ID", NOW, Before("ID", NOW - 1), CENTRES) == 0
    assert speed("ID", NOW, Before("", NOW - 1), CENTRES) == -1
    assert speed("ID", NOW, Before("XX", NOW - 1), CENTRES) == -1
    assert speed("ID", NOW, None, CENTRES) == -1


@given(st.sampled_from(sorted(CENTRES)), st.sampled_from(sorted(CENTRES)), st.floats(0, 10**7))
def test_speeds_are_never_negative_nor_endless(here: str, there: str, seconds: float) -> None:
    assert 0 <= speed(here, NOW, Before(there, NOW - seconds), CENTRES) < 60 * 20_100


@pytest.mark.parametrize(
    ("asn", "kind"),
    [(16509, "hosting"), (9009, "proxy"), (7713, ""), (None, ""), (64500, "hosting"), (14061, "")],
)
def test_networks_are_known_or_named_by_the_operator(asn: int | None, kind: str) -> None:
    assert kind_of(asn, {64500}, {14061}) == kind


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.7", "203.0.113.0/24"), ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"), ("unix:", ""), ("", ""),
    ],
)  # fmt: skip
def test_an_address_counts_with_its_network(address: str, network: str) -> None:
    assert network_of(address) == network
    assert HOME.trusted
