"""The cells of a table, row by row as they stand in the file: TSV or CSV, plain or compressed, or Parquet."""

import csv
import hashlib
import io
import re
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import pyarrow
import pyarrow.parquet

from tfclass.errors import TableError
from tfclass.io.compression import DAMAGED, decompressed, looked_into
from tfclass.io.filetypes import LOOK_BYTES, kind_of
from tfclass.io.tsv import tsv_cells

_PACKED = (".gz", ".bz2", ".xz", ".zst")
_SEPARATORS = {".tsv": "\t", ".txt": "\t", ".csv": ","}
_NAME_OF = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars", " ": "blanks"}
_UNREADABLE = (*DAMAGED, OSError, pyarrow.ArrowException)
_NO_UTF8 = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BATCH_ROWS = 10_000
_BLOCK_BYTES = 1 << 20
# Characters; what is longer is no table of proteins, and memory has an end.
_LONGEST_ROW = 100_000_000
# A protein may be longer than what the module takes for a sign of a quote that was never closed.
csv.field_size_limit(_LONGEST_ROW)
# As an editor or a spreadsheet counts: the header is row 1.
FIRST_ROW = 2


def table_rows(path: Path, expected: str = ".tsv, .csv or .parquet") -> Iterator[tuple[int, list[str]]]:
    """Read a table whose first row is a header.

    Parameters
    ----------
    path : Path
        Its name tells the format.
    expected : str
        What its name should have been, where it is another.

    Returns
    -------
    iterator of tuple of int and list of str
        Number of the row, the header being 1, and its cells: as many as in the header.

    Raises
    ------
    TableError
        The name is none of a table; or, while reading, the file is damaged or empty, or a row has other cells.
    """
    kind = unpacked(path).suffix.lower()
    if kind == ".parquet" and path.suffix.lower() not in _PACKED:
        return _of_parquet(path)
    if kind in _SEPARATORS:
        return _of_text(path, _SEPARATORS[kind])
    raise TableError(str(path), f"a name ending in {path.suffix!r}", expected, path=str(path))


def text_rows(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Read the rows of a text table, header included, plain or compressed; each row is a line.

    Parameters
    ----------
    separator : str
        A tab or a comma.

    Yields
    ------
    tuple of int and list of str
        Number of the row, from 1, and its cells. Blank rows are counted, and left out.

    Raises
    ------
    TableError
        The file cannot be read, is no text, or has another separator; or a quote in a row does not close.
    """
    with _one_line_errors(path), path.open("rb") as stream:
        start, whole = looked_into(decompressed(stream), LOOK_BYTES)
        if b"\0" in start:
            raise TableError(str(path), kind_of(start) or "binary data", "a table as text", path=str(path))
        try:
            yield from _rows_of(whole, path, separator, start)
        except TableError:
            # A damaged file gives strange rows before its checksum is met: that error comes first.
            while whole.read(_BLOCK_BYTES):
                continue
            raise


def _rows_of(stream: BinaryIO, path: Path, separator: str, start: bytes) -> Iterator[tuple[int, list[str]]]:
    # A byte that is no UTF-8 would be reported without its row.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape")
    first = True
    for number, line in enumerate(iter(partial(text.readline, _LONGEST_ROW), ""), start=1):
        if line == "\n":
            continue
        if len(line) == _LONGEST_ROW:
            raise _row_error(path, number, f"a row of {_LONGEST_ROW:,} characters or more", "one protein in a row")
        if first and separator not in line:
            raise _without_separator(path, number, line, separator, start)
        first = False
        yield number, _cells_of(line.removesuffix("\n"), separator, path, number)


def _cells_of(line: str, separator: str, path: Path, number: int) -> list[str]:
    if not line.isascii() and (strange := _NO_UTF8.search(line)):
        found = f"a byte that is no UTF-8 ({strange[0].encode('utf-8', 'surrogateescape')!r})"
        raise _row_error(path, number, found, "UTF-8", "save the table as UTF-8")
    if '"' not in line:
        return line.split(separator)
    try:
        return tsv_cells(line) if separator == "\t" else next(csv.reader([line], delimiter=separator, strict=True))
    except (ValueError, csv.Error):
        # A row is a line here, also in CSV: a quote that is left open would swallow the rows up to the next quote.
        found = f"a quote that does not close in its cell ({line[line.index(chr(34)) :][:40]!r})"
        action = "double each quote that is part of the text and put the cell in quotes; a cell has no line end"
        raise _row_error(path, number, found, action=action) from None


def _without_separator(path: Path, number: int, line: str, separator: str, start: bytes) -> TableError:
    """Make the error of a first row that has one cell, for which any table is too narrow."""
    ending = unpacked(path).suffix.lower()
    expected = f"{_NAME_OF[separator]} between them, as in a file named {ending or 'without an ending'}"
    kind = "what looks like a FASTA file" if line.startswith(">") else kind_of(start)
    if kind:
        return _row_error(path, number, kind, f"cells with {expected}")
    other = next((name for sign, name in _NAME_OF.items() if sign in line.strip()), "")
    if not other:
        return _row_error(path, number, f"one cell ({line.strip()[:40]!r})", f"cells with {expected}")
    action = "or name it .csv" if other == "commas" else "or name it .tsv" if other == "tabs" else ""
    return _row_error(path, number, f"{other} between the cells", expected, action)


def _row_error(path: Path, number: int, found: str, expected: str = "", action: str = "") -> TableError:
    return TableError(f"{path}, row {number}", found, expected, action, path=str(path), row=number)


def _of_text(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    width = 0
    rows = text_rows(path, separator)
    for number, row in rows:
        width = width or len(row)
        if len(row) != width:
            # As in `text_rows`.
            deque(rows, maxlen=0)
            raise _row_error(path, number, f"{len(row)} fields", f"{width} as in the header")
        yield number, row
    if not width:
        raise TableError(str(path), "an empty file", "a header and at least one row", path=str(path))


def _of_parquet(path: Path) -> Iterator[tuple[int, list[str]]]:
    with _one_line_errors(path), pyarrow.parquet.ParquetFile(path) as table:
        yield 1, list(table.schema_arrow.names)
        first = FIRST_ROW
        for batch in table.iter_batches(_BATCH_ROWS):
            columns = [[_as_text(cell) for cell in column.to_pylist()] for column in batch]
            yield from enumerate(map(list, zip(*columns, strict=True)), start=first)
            first += len(batch)


def _as_text(cell: object) -> str:
    # A number that is none is how pandas leaves a cell empty.
    return "" if cell is None or cell != cell else str(cell)


@contextmanager
def _one_line_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise TableError(str(path), "no such file", action="check the path", path=str(path)) from None
    except _UNREADABLE as error:
        raise TableError(str(path), f"a table that cannot be read ({error})", path=str(path)) from error


def cell_error(path: str, row: int, column: str, found: str, expected: str, action: str = "") -> TableError:
    """Make the error of one cell; `row` counts from 0 below the header."""
    number = row + FIRST_ROW
    where = f"{path}, row {number}, column {column!r}"
    return TableError(where, found, expected, action, path=path, row=number, column=column)


def check_id(path: str, row: int, name: str) -> None:
    """Refuse an id with a tab, a line end or another control character; `row` counts from 0 below the header.

    Raises
    ------
    TableError
        None of these could be told from the end of a cell, or be shown.
    """
    if not name.isprintable() and _CONTROL.search(name):
        raise cell_error(path, row, "id", f"{name!r}", "a name without tabs, line ends and other control characters")


def columns_digest(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """Give the SHA-256 of some columns of text, in hexadecimal."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update("\0".join([column, *frame[column]]).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def unpacked(path: Path) -> Path:
    """Take the ending of a compressed file from its name."""
    return path.with_suffix("") if path.suffix.lower() in _PACKED else path
