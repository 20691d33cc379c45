"""Seats: which goes next, as several processes know it."""

from __future__ import annotations

from pathlib import Path

from edge.store.seats import BYTES, MIXED, SEATS, STEP, Seats

ROOM = 2**20


def test_what_one_notes_counts_when_another_chooses(tmp_path: Path) -> None:
    one, two = (Seats(tmp_path / "seats", ROOM, MIXED) for _ in range(2))
    for seat in range(100):
        one.sit(SEATS + seat, ROOM // 100, seat)
    for turn in range(300):  # as time passes by what comes, the first fifty are asked for elsewhere
        one.sit(SEATS + 100 + turn, ROOM // 20, 1000 + turn)
        for seat in range(50):
            two.note(SEATS + seat)
    assert all(one.next() >= 50 for _ in range(20))
    assert all(two.next() >= 50 for _ in range(20))


def test_what_went_is_known_when_it_comes_again_to_another(tmp_path: Path) -> None:
    one, two = (Seats(tmp_path / "seats", ROOM, BYTES) for _ in range(2))
    one.sit(SEATS, ROOM // 16, 7)
    one.sit(SEATS + 1, ROOM // 16, 8)
    one.note(SEATS)
    one.remember(SEATS, 7)
    one.vacate(0)
    assert one.next() == 1
    two.sit(2 * SEATS + 2, 100, 7)
    two.sit(2 * SEATS + 3, 100, 9)
    assert two.uses(2 * SEATS + 2) == 3
    assert two.uses(2 * SEATS + 3) == 1


def test_a_vacant_seat_is_not_chosen_and_one_in_doubt_is_at_once(tmp_path: Path) -> None:
    seats = Seats(tmp_path / "seats", ROOM, MIXED)
    assert seats.next() == -1
    for seat in range(3000):
        seats.sit(SEATS + seat, 100, seat)
    for seat in range(3000):
        if seat != 1234:
            seats.vacate(seat)
    assert {seats.next() for _ in range(50)} == {1234}
    seats.vacate(1234)
    assert seats.next() == -1
    seats.doubt(77)
    seats.note(SEATS + 77)  # a late hit does not make it certain
    assert seats.next() == 77


def test_whoever_comes_doubts_what_is_said_to_be_vacant(tmp_path: Path) -> None:
    """Somebody may have been killed between that and the end of his change of the index."""
    seats = Seats(tmp_path / "seats", ROOM, MIXED)
    seats.sit(SEATS, 100, 1)
    seats.vacate(0)
    assert seats.next() == -1
    assert Seats(tmp_path / "seats", ROOM, MIXED).next() == 0


def test_there_is_room_on_the_disk_for_what_is_noted(tmp_path: Path) -> None:
    """A page that the disk lacks would kill who writes to it."""
    seats = Seats(tmp_path / "seats", ROOM, MIXED)
    for seat in (0, STEP, 3 * STEP):
        seats.sit(SEATS + seat, 100, seat)
        assert (tmp_path / "seats").stat().st_blocks * 512 >= seats.bytes
    assert seats.bytes > 4 * STEP * 8
