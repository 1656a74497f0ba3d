"""Predictions as files: TSV for people and shells, JSON lines for programs, Parquet for tables of millions."""

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO, TextIO

from tfclass.inference.predictor import Prediction

COLUMNS = Prediction._fields
# Rows in a row group of Parquet: what is held in memory at a time.
_GROUP = 10_000

Facts = Mapping[str, Any]
Writer = Callable[[Iterable[Prediction], BinaryIO, Facts | None], None]


def write_tsv(predictions: Iterable[Prediction], stream: BinaryIO, facts: Facts | None = None) -> None:
    """Write a header and one line per prediction; an absent number is an empty cell.

    Parameters
    ----------
    predictions : iterable of Prediction
    stream : binary file
    facts : mapping, optional
        Written ahead of the header, as one line that begins with ``#``.
    """
    with _text(stream) as text:
        if facts:
            text.write("# " + "; ".join(f"{key}={value}" for key, value in facts.items()) + "\n")
        text.write("\t".join(COLUMNS) + "\n")
        for row in predictions:
            text.write("\t".join(_cells(row)) + "\n")


def write_jsonl(predictions: Iterable[Prediction], stream: BinaryIO, facts: Facts | None = None) -> None:  # noqa: ARG001
    """Write one JSON object per line; an absent number is null. Lines of another kind have no place here."""
    with _text(stream) as text:
        for row in predictions:
            text.write(json.dumps(row._asdict()) + "\n")


def write_parquet(predictions: Iterable[Prediction], stream: BinaryIO, facts: Facts | None = None) -> None:
    """Write Parquet (zstd), group by group; an absent number is null, `facts` are the schema's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number, label = pa.string(), pa.float64(), pa.dictionary(pa.int32(), pa.string())
    types = (text, pa.int64(), label, number, number, label, text)
    metadata = {key: str(value) for key, value in (facts or {}).items()}
    schema = pa.schema(list(zip(COLUMNS, types, strict=True)), metadata=metadata)
    rows = iter(predictions)
    with pq.ParquetWriter(stream, schema, compression="zstd", write_page_checksum=True) as writer:
        while group := list(islice(rows, _GROUP)):
            columns = zip(*(_valid_text(row) for row in group), strict=True)
            arrays = [pa.array(column, type=kind) for column, kind in zip(columns, types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


WRITERS: dict[str, Writer] = {"tsv": write_tsv, "jsonl": write_jsonl, "parquet": write_parquet}


@contextmanager
def _text(stream: BinaryIO) -> Iterator[TextIO]:
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape", newline="\n")
    yield text
    text.flush()
    text.detach()


def _cells(row: Prediction) -> list[str]:
    probability = "" if row.probability is None else f"{row.probability:.6f}"
    # In full: a rounded threshold could contradict the label beside it.
    threshold = "" if row.threshold is None else str(row.threshold)
    return [row.id, str(row.length), row.label, probability, threshold, row.status, row.notes]


def _valid_text(row: Prediction) -> Prediction:
    # Parquet holds UTF-8 only; bytes of another encoding become the sign for what cannot be shown.
    return row._replace(id=row.id.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
