"""The cells of a table, row by row as they stand in the file: TSV or CSV, plain or compressed, or Parquet.

Not the reader of pandas, which fills up short rows, takes a surplus field for an index and the protein "NA" for none,
nor that of pyarrow, which lets a quote that is left open swallow the rows up to the next quote.
"""

import csv
import hashlib
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tfclass.errors import TableError
from tfclass.io.filetypes import kind_of
from tfclass.io.reading import DAMAGED, LOOK_BYTES, decompressed, looked_into
from tfclass.io.tsv import tsv_cells

if TYPE_CHECKING:
    import pandas as pd

_PACKED = (".gz", ".bz2", ".xz", ".zst")
_SEPARATORS = {".tsv": "\t", ".txt": "\t", ".csv": ","}
_NAME_OF = {";": "semicolons", "\t": "tabs", ",": "commas", "|": "bars", " ": "blanks"}
_INVALID_UTF8 = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BATCH_ROWS = 10_000
_BLOCK_BYTES = 1 << 20
# Characters; a longer row is not one of a table of proteins, and memory is finite.
_MAX_ROW_LENGTH = 100_000_000
# By default the module takes a field of 131,072 characters for a quote that was never closed.
csv.field_size_limit(_MAX_ROW_LENGTH)
# As an editor or a spreadsheet counts: the header is row 1.
FIRST_ROW = 2


def table_rows(path: Path, expected: str = ".tsv, .csv or .parquet") -> Iterator[tuple[int, list[str]]]:
    """Read a table whose first row is a header.

    Returns
    -------
    iterator of tuple of int and list of str
        Number of the row, the header being 1, and its cells: as many as in the header.

    Raises
    ------
    TableError
        The name has another ending; or, while reading, the file is damaged or empty, or a row has more or fewer cells.
    """
    kind = unpacked(path).suffix.lower()
    if kind == ".parquet" and path.suffix.lower() not in _PACKED:
        return _parquet_rows(path)
    if kind in _SEPARATORS:
        return text_rows(path, _SEPARATORS[kind], has_header=True)
    raise TableError(f"{path}: found a name ending in {path.suffix!r}; expected {expected}")


def text_rows(path: Path, separator: str, *, has_header: bool = False) -> Iterator[tuple[int, list[str]]]:
    """Read the rows of a text table, header included, plain or compressed; each row is a line.

    Parameters
    ----------
    has_header : bool
        Refuse an empty file, and rows with another number of cells than the first one.

    Yields
    ------
    tuple of int and list of str
        Number of the row, from 1, and its cells. Blank rows are counted, and left out.

    Raises
    ------
    TableError
        The file cannot be read, is not text, or has another separator; or a quote in a row does not close.
    """
    with _readable(path, (*DAMAGED, OSError)), path.open("rb") as stream:
        start, whole = looked_into(decompressed(stream), LOOK_BYTES)
        if b"\0" in start:
            raise TableError(f"{path}: found {kind_of(start) or 'binary data'}; expected a table as text")
        try:
            yield from _rows(whole, path, separator, start, has_header=has_header)
        except TableError:
            # A damaged file gives strange rows before its checksum is reached: that error comes first.
            while whole.read(_BLOCK_BYTES):
                continue
            raise


def _rows(
    stream: BinaryIO, path: Path, separator: str, start: bytes, *, has_header: bool
) -> Iterator[tuple[int, list[str]]]:
    # An invalid byte would otherwise be reported without its row.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape")
    width = 0
    for number, line in enumerate(iter(partial(text.readline, _MAX_ROW_LENGTH), ""), start=1):
        if line == "\n":
            continue
        where = f"{path}, row {number}"
        if len(line) == _MAX_ROW_LENGTH:
            raise TableError(f"{where}: found a row of {_MAX_ROW_LENGTH:,} characters or more; expected one protein")
        if not width and separator not in line:
            raise TableError(f"{where}: {_wrong_separator(path, line, separator, start)}")
        row = _cells(line.removesuffix("\n"), separator, where)
        width = width or len(row)
        if has_header and len(row) != width:
            raise TableError(f"{where}: found {len(row)} fields; expected {width} as in the header")
        yield number, row
    if has_header and not width:
        raise TableError(f"{path}: found an empty file; expected a header and at least one row")


def _cells(line: str, separator: str, where: str) -> list[str]:
    if not line.isascii() and (invalid := _INVALID_UTF8.search(line)):
        byte = invalid[0].encode("utf-8", "surrogateescape")
        raise TableError(f"{where}: found a byte that is no UTF-8 ({byte!r}); expected UTF-8; save the table as UTF-8")
    if '"' not in line:
        return line.split(separator)
    try:
        return tsv_cells(line) if separator == "\t" else next(csv.reader([line], delimiter=separator, strict=True))
    except (ValueError, csv.Error):
        raise TableError(
            f"{where}: found a quote that does not close in its cell ({line[line.index(chr(34)) :][:40]!r}); "
            "double each quote that is part of the text and put the cell in quotes; a cell has no line end"
        ) from None


def _wrong_separator(path: Path, line: str, separator: str, start: bytes) -> str:
    """Name the separator that the first row of a table has instead."""
    ending = unpacked(path).suffix.lower() or "without an ending"
    expected = f"{_NAME_OF[separator]} between them, as in a file named {ending}"
    if kind := "what looks like a FASTA file" if line.startswith(">") else kind_of(start):
        return f"found {kind}; expected cells with {expected}"
    other = next((name for sign, name in _NAME_OF.items() if sign in line.strip()), "")
    if not other:
        return f"found one cell ({line.strip()[:40]!r}); expected cells with {expected}"
    action = {"commas": "; or name it .csv", "tabs": "; or name it .tsv"}.get(other, "")
    return f"found {other} between the cells; expected {expected}{action}"


def _parquet_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    import pyarrow
    import pyarrow.parquet

    with _readable(path, (OSError, pyarrow.ArrowException)), pyarrow.parquet.ParquetFile(path) as table:
        yield 1, list(table.schema_arrow.names)
        number = FIRST_ROW
        for batch in table.iter_batches(_BATCH_ROWS):
            columns = [[_as_text(cell) for cell in column.to_pylist()] for column in batch]
            yield from enumerate(map(list, zip(*columns, strict=True)), start=number)
            number += len(batch)


def _as_text(cell: object) -> str:
    # pandas writes NaN for an empty cell.
    return "" if cell is None or cell != cell else str(cell)


@contextmanager
def _readable(path: Path, unreadable: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise TableError(f"{path}: no such file; check the path") from None
    except unreadable as error:
        raise TableError(f"{path}: found a table that cannot be read ({error})") from error


def cell_error(path: str, row: int, column: str, found: str, expected: str, action: str = "") -> TableError:
    """Make the error of one cell; `row` counts from 0 below the header."""
    parts = [f"found {found}", f"expected {expected}", *([action] if action else [])]
    return TableError(f"{path}, row {row + FIRST_ROW}, column {column!r}: {'; '.join(parts)}")


def check_id(path: str, row: int, name: str) -> None:
    """Raise TableError for an id with a control character, such as a tab; `row` counts from 0 below the header."""
    if not name.isprintable() and _CONTROL.search(name):
        raise cell_error(path, row, "id", f"{name!r}", "a name without tabs, line ends and other control characters")


def columns_digest(frame: "pd.DataFrame", columns: Sequence[str]) -> str:
    """Compute the SHA-256 of some columns of text, in hexadecimal."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update("\0".join([column, *frame[column]]).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def unpacked(path: Path) -> Path:
    """Take the ending of a compressed file from its name."""
    return path.with_suffix("") if path.suffix.lower() in _PACKED else path
