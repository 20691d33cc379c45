"""What stock means, without a database."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from origin.tracking.inventory.levels import Band, Level, Told, announced, band, promised, spread
from origin.tracking.inventory.sheet import MOST_PIECES, Line, Wrong, read_sheet

pieces = st.integers(0, 30)
some_levels = st.lists(st.tuples(pieces, pieces, st.integers(0, 5)), max_size=5).map(
    lambda rows: [Level(f"l{n}", hand + held, held, kept) for n, (hand, held, kept) in enumerate(rows)]
)
bands = st.sampled_from(["in", "low", "out"])


@given(levels=some_levels, quantity=st.integers(1, 60))
def test_a_hold_takes_of_as_few_places_as_can_give_it(levels: list[Level], quantity: int) -> None:
    parts = spread(levels, quantity)
    if promised(levels) < quantity:
        assert parts == ()
        return
    has = {level.location: level.available for level in levels}
    assert sum(part.quantity for part in parts) == quantity
    assert all(0 < part.quantity <= has[part.location] for part in parts)
    fewest = next(
        size
        for size in range(1, len(levels) + 1)
        if any(promised(chosen) >= quantity for chosen in combinations(levels, size))
    )
    assert len(parts) == fewest


@given(news=st.lists(st.tuples(bands, st.integers(0, 3)), min_size=1, max_size=40))
def test_worse_news_is_told_at_once_and_better_news_rarely(
    news: list[tuple[Band, int]],
) -> None:
    order = ["in", "low", "out"]
    told, now, better = Told("in", 0.0), 0.0, [0.0]
    for now_is, passed in news:
        now += passed
        before = told.band
        told, purge = announced(told, now_is, now, 2.0)
        assert purge == (told.band != before)
        assert order.index(told.band) >= order.index(now_is), "pages never promise more than there is"
        if order.index(told.band) < order.index(before):
            assert now - better[-1] >= 2.0
            better.append(now)
        assert (told.due is not None) == (told.band != now_is), "what is not told yet is looked at again"


@given(available=st.integers(-5, 20), low=st.integers(0, 10))
def test_a_band_is_out_of_nothing_and_low_up_to_its_threshold(available: int, low: int) -> None:
    expected = "out" if available <= 0 else "low" if available <= low else "in"
    assert band(available, low) == expected


def test_a_list_is_read_with_what_is_wrong_by_row() -> None:
    sheet = read_sheet(
        "\ufeffSKU;Location;Quantity;Safety\r\nA;jkt;5;\r\n\r\nB;jkt;-1;\r\nC;JKT;1;\r\nD;jkt;1.5;\r\n"
        "A;jkt;6;\r\nE;jkt;1\r\nF;jkt;2;1\r\nG;jkt;99999999;\r\n"
    )
    assert sheet.lines == (
        (2, Line(sku="A", location="jkt", quantity=5)),
        (9, Line(sku="F", location="jkt", quantity=2, safety=1)),
    )
    assert [(one.row, one.field) for one in sheet.wrong] == [
        (4, "quantity"), (5, "location"), (6, "quantity"), (7, "sku"), (8, "row"), (10, "quantity"),
    ]  # fmt: skip
    assert "stands in row 2 already" in sheet.wrong[3].detail


def test_a_heading_must_name_known_columns() -> None:
    for text, field in (
        ("", "sku"),
        ("sku,location\n", "quantity"),
        ("sku,location,quantity,colour\n", "colour"),
    ):
        assert [one.field for one in read_sheet(text).wrong] == [field]


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    for sheet in (read_sheet(text), read_sheet(f"sku,location,quantity\n{text}")):
        assert all(isinstance(one, Wrong) and one.detail for one in sheet.wrong)
        assert all(0 <= line.quantity <= MOST_PIECES for _, line in sheet.lines)
