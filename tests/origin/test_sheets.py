"""CSV and Excel: what was written is read back, and nothing that a buyer wrote becomes a formula."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime
from decimal import Decimal

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.sheets import FORMULA, as_csv, as_xlsx

EVIL = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")', "|cmd", "%0", "\n=1"]
HEADS = ("what", "how much")
texts = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30)


@pytest.mark.parametrize("evil", EVIL)
def test_a_text_never_becomes_a_formula(evil: str) -> None:
    rows = list(csv.reader(io.StringIO(as_csv(HEADS, [[evil, 1]]).decode(), newline="")))
    assert rows[1][0] == f"'{evil}"
    sheet = openpyxl.load_workbook(io.BytesIO(as_xlsx("t", HEADS, [[evil, 1]]))).active
    assert sheet is not None
    assert sheet["A2"].data_type != "f"


@given(st.lists(st.tuples(texts, st.integers(-(10**14), 10**14)), max_size=5))
def test_csv_is_read_back(rows: list[tuple[str, int]]) -> None:
    written = as_csv(HEADS, [(text, Decimal(minor).scaleb(-2)) for text, minor in rows]).decode()
    read = list(csv.reader(io.StringIO(written, newline="")))
    assert read[0] == list(HEADS)
    for (text, minor), (cell, amount) in zip(rows, read[1:], strict=True):
        assert cell == (f"'{text}" if text.startswith(FORMULA) else text)
        assert Decimal(amount) == Decimal(minor).scaleb(-2)


def test_excel_gets_numbers_as_numbers_and_days_as_days() -> None:
    body = as_xlsx("t", ("a", "b", "c", "d"), [["toko", Decimal("-1234.50"), date(2027, 1, 15), 3]])
    sheet = openpyxl.load_workbook(io.BytesIO(body)).active
    assert sheet is not None
    assert [cell.value for cell in sheet[2]] == ["toko", -1234.5, datetime.fromisoformat("2027-01-15"), 3]


def test_what_excel_would_round_stays_a_text() -> None:
    body = as_xlsx("t", ("a",), [[Decimal("12345678901234567.89")]])
    sheet = openpyxl.load_workbook(io.BytesIO(body)).active
    assert sheet is not None
    assert sheet["A2"].value == "12345678901234567.89"
