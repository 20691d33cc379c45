"""What a node's disk keeps of the journal."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge import checkpoint
from edge.checkpoint import Checkpoint, State, state_of
from edge.journal import Event, Kind, Snapshot
from edge.position import Position

EMPTY = Snapshot(Position("a", 0), (), (), ())


def event(number: int, kind: Kind, lineage: str = "a", **body: object) -> Event:
    return Event(Position(lineage, number), kind, body)


def begun(directory: Path, snapshot: Snapshot = EMPTY) -> Checkpoint:
    made = Checkpoint(directory)
    made.replace(snapshot)
    return made


names = st.sampled_from(["shop", "toko", "butik"])
changes = st.one_of(
    st.tuples(st.just("site.put"), st.fixed_dictionaries({"name": names, "hosts": st.lists(names)})),
    st.tuples(
        st.just("site.try"),
        st.fixed_dictionaries({"site": st.fixed_dictionaries({"name": names}), "nodes": st.lists(names)}),
    ),
    st.tuples(st.just("site.delete"), st.fixed_dictionaries({"name": names})),
    st.tuples(st.just("purge"), st.fixed_dictionaries({"value": names})),
    st.tuples(st.just("fleet.put"), st.fixed_dictionaries({"nodes": st.lists(st.just({"name": "x"}))})),
    st.tuples(st.just("certificate.put"), st.fixed_dictionaries({"name": names, "hosts": st.just([])})),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(changes, max_size=12), st.integers(min_value=0, max_value=12))
def test_what_was_recorded_is_there_after_a_restart_however_it_was_cut(
    tmp_path: Path, told: list[tuple[Kind, dict[str, object]]], restart_at: int
) -> None:
    folded = state_of(EMPTY)
    kept = begun(tmp_path)
    for number, (kind, body) in enumerate(told, 1):
        if number == restart_at:
            kept = Checkpoint(tmp_path)
            kept.load()
        one = Event(Position("a", number), kind, body)
        kept.record(one)
        folded.fold(one)
    assert Checkpoint(tmp_path).load() == folded


def test_a_trial_ends_with_the_next_document_of_its_site(tmp_path: Path) -> None:
    kept = begun(tmp_path)
    kept.record(event(1, "site.try", site={"name": "shop"}, nodes=["jakarta"]))
    kept.record(event(2, "site.try", site={"name": "toko"}, nodes=["jakarta"]))
    kept.record(event(3, "site.put", name="shop"))
    state = Checkpoint(tmp_path).load()
    assert state is not None
    assert [trial["site"]["name"] for trial in state.snapshot().trials] == ["toko"]


def test_nothing_is_kept_before_the_first_snapshot(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path / "none").load() is None


def test_a_line_that_was_cut_by_a_crash_is_left_out(tmp_path: Path) -> None:
    kept = begun(tmp_path)
    kept.record(event(1, "site.put", name="shop"))
    kept.record(event(2, "site.put", name="toko"))
    since = tmp_path / "journal.since"
    since.write_bytes(since.read_bytes()[:-9])
    state = Checkpoint(tmp_path).load()
    assert state is not None
    assert state.position == Position("a", 1)
    assert list(state.sites) == ["shop"]


@pytest.mark.parametrize("garbage", ["7\n", "null\n", "[]\n", "{}\n", '{"lineage": "a", "number": 1}\n'])
def test_garbage_among_the_events_ends_the_reading_there(tmp_path: Path, garbage: str) -> None:
    begun(tmp_path)
    (tmp_path / "journal.since").write_text(garbage)
    assert Checkpoint(tmp_path).load() == state_of(EMPTY)


@pytest.mark.parametrize("garbage", ["", "{", "null", "[]", '{"lineage": "a", "number": 1}', '{"sites": 1}'])
def test_a_state_that_can_not_be_read_counts_as_none(tmp_path: Path, garbage: str) -> None:
    begun(tmp_path)
    (tmp_path / "journal.json").write_text(garbage)
    assert Checkpoint(tmp_path).load() is None


def test_events_of_another_lineage_that_a_crash_left_behind_are_not_folded_in(tmp_path: Path) -> None:
    kept = begun(tmp_path, Snapshot(Position("old", 4), (), (), ()))
    kept.record(event(5, "site.put", lineage="old", name="ghost"))
    left_behind = (tmp_path / "journal.since").read_bytes()
    kept.replace(Snapshot(Position("new", 4), (), (), ()))
    (tmp_path / "journal.since").write_bytes(left_behind)
    state = Checkpoint(tmp_path).load()
    assert state == State(Position("new", 4))


def test_a_crash_between_whole_and_since_repeats_nothing(tmp_path: Path) -> None:
    kept = begun(tmp_path)
    kept.record(event(1, "site.put", name="shop"))
    left_behind = (tmp_path / "journal.since").read_bytes()
    assert Checkpoint(tmp_path).load() is not None  # compacts
    (tmp_path / "journal.since").write_bytes(left_behind)
    again = Checkpoint(tmp_path)
    state = again.load()
    assert state is not None
    assert state.position == Position("a", 1)
    again.record(event(2, "site.delete", name="shop"))
    assert Checkpoint(tmp_path).load() == State(Position("a", 2))


def test_the_file_of_events_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "COMPACT_AFTER", 10)
    kept = begun(tmp_path)
    for number in range(1, 26):
        kept.record(event(number, "purge", value="kopi"))
    assert len((tmp_path / "journal.since").read_text().splitlines()) == 5
    state = Checkpoint(tmp_path).load()
    assert state is not None
    assert state.position == Position("a", 25)


def test_the_state_is_for_its_owners_eyes(tmp_path: Path) -> None:
    begun(tmp_path)
    assert stat.S_IMODE((tmp_path / "journal.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["journal.json"], "no partial file is left"
