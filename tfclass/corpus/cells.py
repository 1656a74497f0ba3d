"""The cells of a table, row by row as they stand in the file: TSV or CSV, plain or compressed, or Parquet."""

import csv
import hashlib
import io
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet

from tfclass.compression import DAMAGED, decompressed
from tfclass.errors import TableError

_PACKED = (".gz", ".bz2", ".xz", ".zst")
_SEPARATORS = {".tsv": "\t", ".txt": "\t", ".csv": ","}
_UNREADABLE = (*DAMAGED, OSError, UnicodeDecodeError, csv.Error, pyarrow.ArrowException)
_BATCH_ROWS = 10_000
# A protein may be longer than what the module takes for a sign of a quote that was never closed.
csv.field_size_limit(2**31 - 1)
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
    """Read the rows of a text table, header included, plain or compressed.

    Parameters
    ----------
    path : Path
    separator : str

    Yields
    ------
    tuple of int and list of str
        Number of the row, from 1, and its cells. Blank rows are counted, and left out.

    Raises
    ------
    TableError
        The file cannot be read.
    """
    with _one_line_errors(path), path.open("rb") as stream:
        text = io.TextIOWrapper(decompressed(stream), encoding="utf-8-sig", newline="")
        rows = csv.reader(text, delimiter=separator, strict=True)
        yield from ((number, row) for number, row in enumerate(rows, start=1) if row)


def _of_text(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    width = 0
    rows = text_rows(path, separator)
    for number, row in rows:
        width = width or len(row)
        if len(row) != width:
            # A damaged file gives strange rows before its checksum is met: that error comes first.
            deque(rows, maxlen=0)
            where, expected = f"{path}, row {number}", f"{width} as in the header"
            raise TableError(where, f"{len(row)} fields", expected, path=str(path), row=number)
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


def columns_digest(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """Give the SHA-256 of some columns of text, in hexadecimal."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update("\0".join([column, *frame[column]]).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def unpacked(path: Path) -> Path:
    """Take the ending of a compressed file from its name."""
    return path.with_suffix("") if path.suffix.lower() in _PACKED else path
