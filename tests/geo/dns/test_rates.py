from __future__ import annotations

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from geo.dns.rates import Rates, Verdict

HERE, NEIGHBOUR = ip_address("192.0.2.1").packed, ip_address("192.0.2.200").packed
ELSEWHERE = ip_address("2001:db8::1").packed


def verdicts(rates: Rates, count: int, now: float, address: bytes = HERE) -> list[Verdict]:
    return [rates.admit(address, now) for _ in range(count)]


def test_a_network_gets_its_replies_and_then_every_second_one_truncated() -> None:
    rates = Rates(10, 2, b"salt")
    assert verdicts(rates, 10, 100.0) == [Verdict.ANSWER] * 10
    assert verdicts(rates, 4, 100.0, NEIGHBOUR) == [Verdict.SILENCE, Verdict.TRUNCATE] * 2
    assert rates.admit(ELSEWHERE, 100.0) is Verdict.ANSWER


def test_a_bucket_fills_again_within_a_second_and_no_further() -> None:
    rates = Rates(10, 0, b"salt")
    verdicts(rates, 30, 100.0)
    assert verdicts(rates, 6, 100.55).count(Verdict.ANSWER) == 5
    assert verdicts(rates, 30, 900.0).count(Verdict.ANSWER) == 10


@given(st.lists(st.floats(0, 0.2), max_size=200), st.integers(1, 20))
def test_no_second_has_more_answers_than_twice_the_limit(pauses: list[float], limit: int) -> None:
    rates, now, answered = Rates(limit, 2, b"salt"), 1000.0, []
    for pause in pauses:
        now += pause
        if rates.admit(HERE, now) is Verdict.ANSWER:
            answered.append(now)
    for began in answered:
        assert sum(began <= at < began + 1 for at in answered) <= 2 * limit


def test_a_clock_that_jumps_back_gives_nothing_away() -> None:
    rates = Rates(5, 0, b"salt")
    verdicts(rates, 5, 1000.0)
    assert Verdict.ANSWER not in verdicts(rates, 5, 1.0)
