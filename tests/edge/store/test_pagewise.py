"""Bodies in the index: each is what was written, however others come and go, and pages are full."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.store.pagewise import ALONE, END, PAGE, TABLES, Pages, taken
from edge.store.record import Gone

SIZES = st.one_of(
    st.integers(1, 70_000),
    st.sampled_from([1, END - 1, END, END + 1, ALONE - 1, ALONE, ALONE + 1, ALONE + END, 2 * ALONE]),
)


@contextmanager
def index() -> Iterator[tuple[lmdb.Environment, dict[str, Any]]]:
    with (
        tempfile.TemporaryDirectory() as directory,
        lmdb.open(directory, map_size=2**28, max_dbs=len(TABLES), sync=False) as env,
    ):
        yield env, {name: env.open_db(name.encode()) for name in TABLES}


def pages_of(env: lmdb.Environment, tables: dict[str, Any]) -> int:
    """How many pages the tables take."""
    with env.begin() as txn:
        stats = [txn.stat(table) for table in tables.values()]
    return sum(stat["leaf_pages"] + stat["overflow_pages"] + stat["branch_pages"] for stat in stats)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["write", "forget", "abort"]), st.integers(0, 99), SIZES)))
def test_a_body_is_what_was_written_until_it_is_forgotten(script: list[tuple[str, int, int]]) -> None:
    kept: dict[int, bytes] = {}
    with index() as (env, tables):
        for number, (word, which, size) in enumerate(script, 1):
            if word == "forget":
                gone = sorted(kept)[which % len(kept)] if kept else 0
                kept.pop(gone, None)
                with env.begin(write=True) as txn:
                    Pages(txn, tables).forget(gone)
                    with pytest.raises(Gone):
                        Pages(txn, tables).read(gone)
                continue
            data = random.Random(number).randbytes(size)
            with env.begin(write=True) as txn:
                Pages(txn, tables).write(number, data)
                if word == "abort":
                    txn.abort()
            if word == "write":
                kept[number] = data
        with env.begin() as txn:
            for number, data in kept.items():
                assert Pages(txn, tables).read(number) == data
        with env.begin(write=True) as txn:
            for number in kept:
                Pages(txn, tables).forget(number)
        assert pages_of(env, tables) == 0


def test_what_is_said_to_be_taken_is_what_is_taken_after_much_coming_and_going() -> None:
    chance = random.Random(7)
    kept: dict[int, int] = {}
    with index() as (env, tables), env.begin(write=True) as txn:
        pages = Pages(txn, tables)
        for number in range(1, 12_001):
            if len(kept) > 1500:
                gone = chance.choice(list(kept))
                pages.forget(gone)
                del kept[gone]
            kept[number] = int(min(60_000, chance.lognormvariate(8, 1.2)))
            pages.write(number, b"x" * kept[number])
        stats = [txn.stat(table) for table in tables.values()]
        real = PAGE * sum(stat["leaf_pages"] + stat["overflow_pages"] for stat in stats)
        said, bare = sum(map(taken, kept.values())), sum(kept.values())
    assert 0.95 < said / real < 1.06
    assert real < 1.15 * bare  # whole pages for each would be 1.4
