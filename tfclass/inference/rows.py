"""A row of output, counts of rows, and rows as files: TSV, JSON lines, and Parquet for tables of millions."""

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TextIO, cast

import numpy as np

from tfclass.channels.base import Column
from tfclass.errors import escaped
from tfclass.io.tsv import tsv_cell

if TYPE_CHECKING:
    from tfclass.inference.predictor import Predictor


class Prediction(NamedTuple):
    """One row of output.

    Attributes
    ----------
    id : str
        As in the input.
    length : int
        Residues scored; characters given when skipped.
    label : str
        The predicted class; empty when skipped.
    probability : float or None
        Of the positive class in a binary model, of the predicted class in a multi-class one; six decimals, and more
        where the threshold is below 0.01; None when skipped.
    threshold : float or None
        Least probability of a predicted positive; None in a multi-class model.
    status : str
        ``ok`` or ``skipped``.
    notes : str
        What was done to the sequence, or why it was skipped; joined by ``;``.
    details : mapping of str to str, float or None
        The columns of the channels (`Predictor.columns`), which are attributes as well: ``family``, ``domain``, ...
    """

    id: str
    length: int
    label: str
    probability: float | None
    threshold: float | None
    status: str
    notes: str
    details: Mapping[str, Any] = {}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Prediction":
        """Make a row from the values of all its columns."""
        details = {name: value for name, value in values.items() if name not in COLUMNS}
        return cls(**{name: values[name] for name in COLUMNS}, details=details)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Return a column of the details."""
        try:
            return self.details[name]
        except KeyError:
            raise AttributeError(f"the model has no column {name!r}") from None


# The columns of every output; those of the channels stand before the last two.
COLUMNS = {
    "id": Column("text"),
    "length": Column("integer"),
    "label": Column("category"),
    "probability": Column("number"),
    "threshold": Column("number"),
    "status": Column("category"),
    "notes": Column("text"),
}


def with_details(details: Mapping[str, Column]) -> dict[str, Column]:
    """Return all columns of an output, in order, with those of the channels among them."""
    last = {name: COLUMNS[name] for name in ("status", "notes")}
    return {name: column for name, column in COLUMNS.items() if name not in last} | dict(details) | last


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
    with _text(stream) as text:
        if facts:
            text.write("# " + "; ".join(f"{key}={value}" for key, value in facts.items()) + "\n")
        text.write("\t".join(columns) + "\n")
        for row in predictions:
            text.write("\t".join(_cell(name, column, getattr(row, name)) for name, column in columns.items()) + "\n")


def write_jsonl(
    predictions: Iterable[Prediction],
    stream: BinaryIO,
    facts: Facts | None = None,  # noqa: ARG001
    columns: Mapping[str, Column] = COLUMNS,
) -> None:
    """Write one JSON object per line; an absent number is null. Lines of another kind have no place here."""
    with _text(stream) as text:
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


WRITERS: dict[str, Callable[..., None]] = {"tsv": write_tsv, "jsonl": write_jsonl, "parquet": write_parquet}


@contextmanager
def _text(stream: BinaryIO) -> Iterator[TextIO]:
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", newline="\n")
    try:
        yield text
        text.flush()
    finally:
        # The stream is the caller's to close.
        text.detach()


def _cell(name: str, column: Column, value: object) -> str:
    if value is None:
        return ""
    if name == "probability":
        # It has more than six decimals where the threshold is low.
        return np.format_float_positional(cast(float, value), min_digits=6)
    # A threshold is written in full: a rounded one could contradict the label beside it.
    if column.decimals is not None:
        return f"{value:.{column.decimals}f}"
    # A channel's text, such as the id of a homologue, is the model's to name, and a terminal would obey it.
    text = str(value)
    return tsv_cell(text if name in COLUMNS else escaped(text, keep="\n\t"))


def _valid_text(row: Prediction) -> Prediction:
    # Parquet and JSON hold UTF-8 only. A FASTA file is read without lone surrogates; a program may pass some.
    return row._replace(id=row.id.encode("utf-8", "backslashreplace").decode())


# Explanations of the notes; one that is not listed has its name alone.
MEANINGS = {
    "looks_like_nucleotide": "DNA or RNA? The model expects proteins: translate the sequences first",
    "duplicate_id": "an earlier record has the same id; both are kept",
    "no_id": "the header is empty",
    "id_escaped": "bytes that are no UTF-8, and control characters, are backslash escapes in the id",
    "header_within_line": "a '>' inside a line began the next record; files joined without a line end?",
    "stop_removed": "a stop (*) at the end was removed",
    "internal_stops": "stops (*) inside the sequence were read as X",
    "gaps_removed": "gaps (- or .) were removed",
    "nonstandard": "letters other than the 20 amino acids",
    "looks_like_empty_value": "a word such as nan or null, read as residues",
    "empty": "no residue",
    "illegal": "a character that is no residue letter",
    "longer_than": "more characters than --max-length allows",
    "too_long_for_memory": "longer than the memory allows",
}
# The name at the start of each note; what a note quotes never begins with a letter.
_NAMES = re.compile(r"(?:^|;)([a-z_]+)")


class Tally:
    """Count the rows of a predictor as they pass.

    Attributes
    ----------
    n_records, n_skipped, n_positive : int
        All rows, those that were not scored, and those predicted positive.
    groups : Counter of str
        Predicted positives by family, empty where unknown; in a multi-class model all that were scored, by class.
    notes, reasons : Counter of str
        Rows with each note, and rows skipped for each reason.
    """

    def __init__(self, predictor: "Predictor") -> None:
        self.predictor = predictor
        self.n_records = self.n_skipped = self.n_positive = 0
        self.groups: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self._has_families = predictor.binary and "family" in predictor.columns

    def count(self, rows: Iterable[Prediction]) -> Iterator[Prediction]:
        """Count rows, and pass them on."""
        for row in rows:
            self.add(row, _NAMES.findall(row.notes) if row.notes else [])
            yield row

    def add(self, row: Prediction, names: list[str]) -> None:
        """Count one row, with the names of its notes."""
        self.n_records += 1
        if row.status == "skipped":
            self.n_skipped += 1
            self.reasons.update(names[-1:])
            names = names[:-1]
        elif self.predictor.is_positive(row):
            self.n_positive += 1
            if self._has_families or not self.predictor.binary:
                self.groups[(row.details["family"] or "") if self._has_families else row.label] += 1
        self.notes.update(names)
