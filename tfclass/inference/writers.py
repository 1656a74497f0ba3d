"""Rows as files: TSV and CSV for people, JSON lines for programs, Parquet for tables of millions, a list of ids."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO, TextIO, cast

import numpy as np

from tfclass.channels.base import Column
from tfclass.errors import escaped
from tfclass.inference.rows import COLUMNS, Prediction
from tfclass.io.tsv import tsv_cell

# What a cell begins with that a spreadsheet takes for a formula.
_COMPUTED = tuple("=+-@＝＋－＠\t\r\n")
# Rows in a row group of Parquet: what is held in memory at a time.
_GROUP = 10_000

Facts = Mapping[str, Any]


def write_tsv(
    predictions: Iterable[Prediction],
    stream: BinaryIO,
    facts: Facts | None = None,
    columns: Mapping[str, Column] = COLUMNS,
) -> None:
    """Write a header and one line per prediction; an absent number is an empty cell. Quotes are as in `tfclass.io.tsv`.

    Parameters
    ----------
    facts : mapping, optional
        Written ahead of the header, as one line that begins with ``#``.
    columns : mapping of str to Column
        In the order of the output; see `Predictor.columns`.
    """
    with text_of(stream) as text:
        if facts:
            text.write("# " + "; ".join(f"{key}={value}" for key, value in facts.items()) + "\n")
        text.write("\t".join(columns) + "\n")
        for row in predictions:
            values = (tsv_cell(_value(name, column, getattr(row, name))) for name, column in columns.items())
            text.write("\t".join(values) + "\n")


def write_csv(
    predictions: Iterable[Prediction],
    stream: BinaryIO,
    facts: Facts | None = None,  # noqa: ARG001
    columns: Mapping[str, Column] = COLUMNS,
) -> None:
    """Write CSV as in RFC 4180, with the values of TSV. A line of another kind has no place here.

    A text that a spreadsheet would compute, such as ``=cmd()``, begins with an apostrophe.
    """
    with text_of(stream) as text:
        table = csv.writer(text, lineterminator="\r\n")
        table.writerow(columns)
        for row in predictions:
            table.writerow(_harmless(_value(name, each, getattr(row, name)), each) for name, each in columns.items())


def write_jsonl(
    predictions: Iterable[Prediction],
    stream: BinaryIO,
    facts: Facts | None = None,  # noqa: ARG001
    columns: Mapping[str, Column] = COLUMNS,
) -> None:
    """Write one JSON object per line; an absent number is null. Lines of another kind have no place here."""
    with text_of(stream) as text:
        for row in map(_valid_text, predictions):
            text.write(json.dumps({column: getattr(row, column) for column in columns}) + "\n")


def write_parquet(
    predictions: Iterable[Prediction],
    stream: BinaryIO,
    facts: Facts | None = None,
    columns: Mapping[str, Column] = COLUMNS,
) -> None:
    """Write Parquet (zstd), group by group; an absent number is null, `facts` are the schema's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    category = pa.dictionary(pa.int32(), pa.string())
    of_kind = {"text": pa.string(), "category": category, "integer": pa.int64(), "number": pa.float64()}
    types = [of_kind[column.kind] for column in columns.values()]
    metadata = {key: str(value) for key, value in (facts or {}).items()}
    schema = pa.schema(list(zip(columns, types, strict=True)), metadata=metadata)
    rows = iter(predictions)
    with pq.ParquetWriter(stream, schema, compression="zstd", write_page_checksum=True) as writer:
        while group := list(islice(rows, _GROUP)):
            valid = [_valid_text(row) for row in group]
            typed = zip(columns, types, strict=True)
            arrays = [pa.array([getattr(row, column) for row in valid], type=kind) for column, kind in typed]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def write_ids(predictions: Iterable[Prediction], stream: BinaryIO) -> None:
    """Write one id per line, and none for a record without one."""
    with text_of(stream) as text:
        text.writelines(f"{row.id}\n" for row in predictions if row.id)


# Those that write every column of every row.
WRITERS: dict[str, Callable[..., None]] = {
    "tsv": write_tsv,
    "csv": write_csv,
    "jsonl": write_jsonl,
    "parquet": write_parquet,
}


@contextmanager
def text_of(stream: BinaryIO) -> Iterator[TextIO]:
    """Open a binary stream for text; it is left open."""
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", newline="\n")
    try:
        yield text
        text.flush()
    finally:
        # The stream is the caller's to close.
        text.detach()


def probability_text(value: float | None) -> str:
    """Write a probability; it has more than six decimals where the threshold is low."""
    return "" if value is None else np.format_float_positional(value, min_digits=6)


def _value(name: str, column: Column, value: object) -> str:
    if value is None:
        return ""
    if name == "probability":
        return probability_text(cast(float, value))
    # A threshold is written in full: a rounded one could contradict the label beside it.
    if column.decimals is not None:
        return f"{value:.{column.decimals}f}"
    # A channel's text, such as the id of a homologue, is the model's to name, and a terminal would obey it.
    text = str(value)
    return text if name in COLUMNS else escaped(text, keep="\n\t")


def _harmless(text: str, column: Column) -> str:
    is_text = column.kind in ("text", "category")
    return f"'{text}" if is_text and text.startswith(_COMPUTED) else text


def _valid_text(row: Prediction) -> Prediction:
    # Parquet and JSON hold UTF-8 only. A FASTA file is read without lone surrogates; a program may pass some.
    return row._replace(id=row.id.encode("utf-8", "backslashreplace").decode())
