"""The tables that annotations come in: CSV files and Excel sheets."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO
from xml.etree.ElementTree import ParseError

from streamspot.bounds import check_archive
from streamspot.errors import DataError, cut, needs

FPS = 1.0, 1000.0
"""Fewest and most frames a second of a video."""
LARGEST = 10**9
"""Frames are numbered below it."""


def sheet_rows_of(path: Path, sheet: int | str = 0) -> list[tuple[Any, ...]]:
    """Return all rows of a sheet of an Excel file.

    Raises:
        DataError: The file cannot be read, or openpyxl is not installed.
    """
    try:
        from openpyxl import load_workbook  # noqa: PLC0415 - an extra
        from openpyxl.utils.exceptions import InvalidFileException  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise DataError(needs(str(path), "openpyxl", "train", error)) from None
    try:
        check_archive(path, free=8)
        book = load_workbook(path, read_only=True, data_only=True)
        name = book.sheetnames[sheet] if isinstance(sheet, int) else sheet
        if name not in book.sheetnames:
            raise DataError(f"{path} has no sheet {name!r}; it has {', '.join(book.sheetnames)}")
        return list(book[name].iter_rows(values_only=True))
    except (OSError, KeyError, ValueError, IndexError, InvalidFileException, ParseError) as error:
        raise DataError(
            f"{path} is no Excel file of the .xlsx kind ({cut(error)}); save it as .xlsx"
        ) from None


def csv_rows_of(path: Path) -> list[tuple[str, ...]]:
    """Return all rows of a CSV file; an empty line is an empty row.

    Raises:
        DataError: It is missing or not UTF-8.
    """
    return [cells for _, cells in csv_lines_of(path)]


def csv_lines_of(path: Path) -> list[tuple[str, tuple[str, ...]]]:
    """Return all rows of a CSV file: each as it stands there, with its line end, and its cells.

    Raises:
        DataError: It is missing, not UTF-8 or separated by semicolons.
    """
    rows: list[tuple[str, tuple[str, ...]]] = []
    taken: list[str] = []

    def lines(file: TextIO) -> Iterator[str]:
        for number, line in enumerate(file):
            taken.append(line)
            yield line if number else line.removeprefix("\ufeff")

    try:
        with path.open(encoding="utf-8", newline="") as file:
            for cells in csv.reader(lines(file)):
                rows.append(("".join(taken), tuple(cells)))
                taken.clear()
    except FileNotFoundError:
        raise DataError(f"there is no {path}; write it or name another") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not text in UTF-8; save it as CSV UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path} is no table in CSV ({cut(error)}); save it as CSV UTF-8") from None
    if rows and len(head := rows[0][1]) == 1 and ";" in head[0]:
        raise DataError(f"{path} is separated by semicolons; save it separated by commas")
    return rows


def records_of(path: Path, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield number and cells of every row below the head of a .csv file or of the first sheet of an .xlsx file.

    Cells are text without blanks around it, by the name of their column in lower case; a cell that is not there is
    empty. Empty rows are counted and left out. The head must have the columns ``needed``.

    Raises:
        DataError: The file cannot be read or lacks a column.
    """
    if not path.exists():
        raise DataError(f"there is no {path}; write one whose first row names {', '.join(needed)}")
    rows: Sequence[tuple[Any, ...]] = (
        sheet_rows_of(path) if path.suffix.lower() == ".xlsx" else csv_rows_of(path)
    )
    head, *body = (["" if cell is None else str(cell).strip() for cell in row] for row in rows or [()])
    names = [name.lower() for name in head]
    if missing := [name for name in needed if name not in names]:
        raise DataError(f"{path} has no column {missing[0]!r}; its first row must name {', '.join(needed)}")
    for number, cells in enumerate(body, start=2):
        if any(cells):
            yield number, dict.fromkeys(names, "") | dict(zip(names, cells, strict=False))


def one_form(name: str) -> str:
    """Return the name of a file as it is compared: macOS takes an ü apart into u and dots, other systems do not."""
    return unicodedata.normalize("NFC", name.strip())


def rate_in(cell: str) -> float | None:
    """Return the frames a second that a cell gives, None if it gives none."""
    given = re.fullmatch(r"\d+(\.\d+)?", cell) is not None
    return float(cell) if given and FPS[0] <= float(cell) <= FPS[1] else None


def no_frame(cell: str) -> bool:
    """Tell whether a cell holds text, or seconds, where a frame number belongs; empty, or negative, it says none."""
    if cell == "" or cell.startswith("-"):
        return False
    return whole(cell) is None or not float(cell).is_integer()


def whole(value: Any) -> int | None:
    """Return a frame number: 566.4 (some copies hold such) → 566; empty, text and -1 → None."""
    try:
        number = int(float(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number < LARGEST else None
