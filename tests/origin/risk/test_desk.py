"""Risk on both engines: counted, decided once, reviewed once, measured by what became of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from origin.contract import Card, Money, Risk, Visitor
from origin.risk.desk import NoSuchDecision
from tests.origin.ledger.books import ENGINES, database_url
from tests.origin.risk.desks import HOME, Desks, attempt, open_desk, ruleset


@pytest.fixture(params=ENGINES)
async def desks(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Desks]:
    with database_url(request.param) as url:
        async with open_desk(tmp_path, url) as found:
            yield found


async def test_an_ordinary_attempt_is_let_through_and_kept_with_its_values(desks: Desks) -> None:
    risk: Risk = desks.origin.shared.use("risk")
    assert risk is desks.desk
    verdict = await desks.assess(attempt("1", session_started=desks.clock.now - 60))
    assert (verdict.action, verdict.challenge, verdict.reasons) == ("allow", False, ())
    (kept,) = await desks.desk.of_order("1")
    assert (kept["id"], kept["version"], kept["facts"]["amount"]) == (verdict.decision, 0, 85000.0)


async def test_the_same_attempt_gets_the_decision_it_has(desks: Desks) -> None:
    first = await desks.assess(attempt("1"))
    await desks.desk.keep(ruleset(("all", "block", "true")), "test")
    assert await desks.assess(attempt("1")) == first
    assert (await desks.assess(attempt("1", card="fp_2"))).action == "block"
    assert (await desks.assess(attempt("2"))).reasons == ("all",)


async def test_attempts_are_counted_by_each_mark_within_an_hour_and_a_day(desks: Desks) -> None:
    await desks.assess(attempt("1", email="a@x.example", device="d1", card="fp_1"))
    desks.clock.now += 2 * 3600
    await desks.assess(attempt("2", email="A@x.example ", device="d2", card="fp_2"))
    await desks.assess(attempt("3", email="b@x.example", card="fp_1", visitor=Visitor("203.0.113.99", "ID")))
    await desks.assess(attempt("4", email="a@x.example", device="d1", card="fp_3"))
    facts = await desks.facts("4")
    assert (facts["email_hour"], facts["email_day"]) == (1, 2)
    assert (facts["device_hour"], facts["device_day"]) == (0, 1)
    assert (facts["address_hour"], facts["address_day"]) == (1, 2)
    assert (facts["network_hour"], facts["network_day"]) == (2, 3)
    assert (facts["card_hour"], facts["card_day"]) == (0, 0)
    assert (facts["cards_day"], facts["address_cards_hour"]) == (3, 2)
    desks.clock.now += 30 * 3600
    await desks.assess(attempt("5", email="a@x.example"))
    assert (await desks.facts("5"))["email_day"] == 0


async def test_many_cards_are_card_testing(desks: Desks) -> None:
    verdicts = [await desks.assess(attempt(str(n), card=f"fp_{n}", device="d")) for n in range(6)]
    assert [one.action for one in verdicts] == ["allow"] * 4 + ["block"] * 2
    assert verdicts[-1].reasons[-1] == "card-testing"


async def test_impossible_travel_is_reviewed(desks: Desks) -> None:
    await desks.assess(attempt("1"))
    desks.clock.now += 1800
    there = Visitor("198.51.100.1", "US", 7018, "shop.test", True)
    verdict = await desks.assess(attempt("2", visitor=there, card_country="US"))
    assert (verdict.action, verdict.reasons) == ("review", ("impossible-travel",))


async def test_a_review_is_answered_once_and_told(desks: Desks) -> None:
    abroad = attempt("1", card_country="US", shipping_country="SG")
    verdict = await desks.assess(abroad)
    assert (verdict.action, verdict.challenge) == ("review", True)
    (waiting,) = await desks.desk.waiting()
    assert waiting["id"] == verdict.decision
    await desks.desk.review(verdict.decision, True, "sari")
    assert await desks.desk.waiting() == []
    with pytest.raises(NoSuchDecision):
        await desks.desk.review(verdict.decision, False, "budi")
    assert await desks.rows("SELECT name FROM outbox") == [("risk.reviewed",)]
    (kept,) = await desks.desk.of_order("1")
    assert (kept["review"], kept["reviewed_by"]) == ("approved", "sari")


async def test_outcomes_are_learnt_and_none_takes_back_a_graver_one(desks: Desks) -> None:
    await desks.assess(attempt("1", card="fp_0"))
    await desks.assess(attempt("1"))
    for outcome in ("failed", "paid", "disputed", "paid"):
        await desks.learn("1", outcome)  # type: ignore[arg-type]
    await desks.learn("never seen", "paid")
    assert [one["outcome"] for one in await desks.desk.of_order("1")] == ["", "disputed"]


async def test_a_card_that_is_known_later_is_judged_and_counted_once(desks: Desks) -> None:
    await desks.desk.keep(
        ruleset(("abroad", "review", "card_abroad"), ("many", "block", "card_day > 1")), "t"
    )
    for order in ("1", "2", "3"):
        assert (await desks.assess(attempt(order, card="", card_country="", device="d"))).action == "allow"
    card = Card("fp_7", "us")
    first = await desks.recognise("1", card)
    assert first is not None
    assert (first.action, first.reasons) == ("review", ("abroad",))
    assert await desks.recognise("1", card) == first, "the same word again changes nothing"
    again = await desks.assess(attempt("1", card="", card_country="", device="d"))
    assert again.decision == first.decision
    await desks.recognise("2", Card("fp_7", "ID"))
    await desks.recognise("3", card)
    facts = await desks.facts("3")
    assert (facts["card_day"], facts["cards_day"], facts["device_day"]) == (2, 1, 2)
    (_, last) = await desks.desk.of_order("3")
    assert (last["action"], last["matched"]) == ("block", ["many"])
    assert await desks.recognise("unheard of", card) is None
    await desks.assess(attempt("4", card="fp_7", card_country="", device="d"))
    facts = await desks.facts("4")
    assert (facts["card_day"], facts["device_day"], facts["address_day"]) == (3, 3, 3)
    assert len(await desks.desk.history(0, 100)) == 4, "a decision that was replaced is measured no more"


async def test_a_milder_word_of_a_card_changes_no_decision(desks: Desks) -> None:
    await desks.desk.keep(ruleset(("home", "allow", "card_country == 'ID'"), ("rest", "review", "true")), "t")
    before = await desks.assess(attempt("1", card="", card_country=""))
    assert await desks.recognise("1", Card("fp_1", "ID")) == before
    (kept,) = await desks.desk.of_order("1")
    assert (kept["action"], kept["review"], kept["matched"]) == ("review", "open", ["rest"])
    assert kept["facts"]["card_country"] == "ID"


async def test_marks_are_kept_as_hashes_of_this_origin_alone(desks: Desks) -> None:
    await desks.assess(attempt("1", email="sari@x.example", device="d-77", card="fp_99"))
    everything = str(await desks.rows("SELECT * FROM risk_decisions"))
    for secret in ("sari", "d-77", "fp_99"):
        assert secret not in everything


async def test_a_failed_transaction_leaves_no_decision(desks: Desks) -> None:
    with pytest.raises(LookupError):
        async with desks.host.write() as connection:
            await desks.desk.assess(connection, attempt("1"))
            raise LookupError
    assert await desks.desk.of_order("1") == []


async def test_what_is_no_attempt_is_refused(desks: Desks) -> None:
    for wrong in (attempt("1", amount=Money(5, "BTC")), attempt(""), attempt("x" * 121)):
        with pytest.raises(ValueError, match="expected"):
            await desks.assess(wrong)


async def test_the_operators_networks_count(tmp_path: Path) -> None:
    async with open_desk(tmp_path, hosting=[64500], homes=[16509]) as desks:
        await desks.assess(attempt("1", visitor=Visitor("203.0.113.7", "ID", 64500)))
        await desks.assess(attempt("2", visitor=Visitor("203.0.113.7", "ID", 16509)))
        assert (await desks.facts("1"))["network_kind"] == "hosting"
        assert (await desks.facts("2"))["network_kind"] == ""
        assert HOME.asn == 7713
