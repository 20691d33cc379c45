"""Benchmarks ask one question each, and the harness finds them all."""

from __future__ import annotations

import os

from bench.__main__ import main, questions
from bench.load.picture import bars
from bench.load.processes import cpu_seconds, family


def test_every_benchmark_asks_a_question() -> None:
    known = questions()
    assert {"hits", "speed", "growth", "dns"} <= set(known)
    assert [name for name, question in known.items() if not question.endswith("?")] == []


def test_an_unknown_benchmark_is_told_which_there_are() -> None:
    assert main(["nonsense"]) == 2


def test_the_cpu_of_a_process_counts_its_family() -> None:
    assert os.getpid() in family(os.getppid())
    assert cpu_seconds(os.getpid()) > 0
    assert cpu_seconds(os.getppid()) >= cpu_seconds(os.getpid()) * 0.9


def test_a_bar_is_as_long_as_its_value() -> None:
    picture = bars("CPU", {"ours": 10.0, "<theirs>": 5.0})
    assert "&lt;theirs&gt;" in picture
    assert 'width="420"' in picture
    assert 'width="210"' in picture
