"""Tables as CSV and Excel. No cell is ever a formula, whatever a buyer wrote into it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal

import xlsxwriter

Cell = str | int | Decimal | date
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")  # what spreadsheets take for the beginning of one
CSV = "text/csv; charset=utf-8"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
LARGEST_EXACT = 10**15  # Excel counts in binary fractions: 15 digits are exact
LONGEST_TEXT = 32_767


def as_csv(heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """RFC 4180, in UTF-8. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(heads)
    writer.writerows([_plain(cell) for cell in row] for row in rows)
    return out.getvalue().encode()


def _plain(cell: Cell) -> str:
    if isinstance(cell, str):
        return f"'{cell}" if cell.startswith(FORMULA) else cell
    return str(cell)


def as_xlsx(title: str, heads: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """One sheet with a fixed head; numbers are numbers, texts are texts."""
    out = io.BytesIO()
    options = {"in_memory": True, "constant_memory": True, "strings_to_formulas": False}
    with xlsxwriter.Workbook(out, {**options, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet(title)
        head, day = book.add_format({"bold": True}), book.add_format({"num_format": "yyyy-mm-dd"})
        money = book.add_format({"num_format": "#,##0.00##"})
        sheet.freeze_panes(1, 0)
        for column, name in enumerate(heads):
            sheet.set_column(column, column, max(12, len(name) + 2))
            sheet.write_string(0, column, name, head)
        for number, row in enumerate(rows, 1):
            for column, cell in enumerate(row):
                match cell:
                    case str():
                        sheet.write_string(number, column, cell[:LONGEST_TEXT])
                    case date():
                        sheet.write_datetime(number, column, cell, day)
                    case Decimal() if abs(cell.scaleb(-int(cell.as_tuple().exponent))) > LARGEST_EXACT:
                        sheet.write_string(number, column, str(cell))
                    case Decimal():
                        sheet.write_number(number, column, float(cell), money)
                    case _:
                        sheet.write_number(number, column, cell)
    return out.getvalue()
