"""Labelled tables: TSV, CSV or Parquet with ``id``, ``sequence``, ``label`` and, where known, ``split``, ``cluster``.

Where they are asked for, ``family`` and ``domains`` are read too (`tfclass.data.annotations`).

Every row is checked before anything is trained on it; the first fault is named by row and column. Row numbers are
those of an editor or spreadsheet: the header is row 1.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from tfclass.config import CorpusConfig
from tfclass.data.annotations import Annotations, read_annotations
from tfclass.data.cells import FIRST_ROW, cell_error, check_id, columns_digest, table_rows
from tfclass.data.manifest import Manifest, read_manifest
from tfclass.errors import TableError
from tfclass.names import is_name
from tfclass.sequences.alphabet import Alphabet
from tfclass.sequences.cleaning import EMPTY_VALUE, clean
from tfclass.typing import BoolArray, IntArray, TokenArray

_NEEDED = ("id", "sequence", "label")

_log = logging.getLogger(__name__)


class LabelledProteins(NamedTuple):
    """A checked table, ready for batching.

    Attributes
    ----------
    frame : DataFrame
        The table with all its columns; ``label`` holds class names after aliases, and ``cluster`` is always there
        (a protein's own id where the table has none).
    tokens : list of ndarray of uint8, each of shape (L,)
    labels : ndarray of int64, shape (N,)
        Index into `classes`.
    classes : tuple of str
        The positive class last in a binary task.
    digest : str
        SHA-256 of ids, sequences, labels, splits and clusters, in hexadecimal.
    clustered : bool
        Whether the table has a column ``cluster`` of its own.
    manifest : dict or None
        How the table was made, where that is written beside it.
    annotations : Annotations or None
        Families and domains, where they were asked for.
    """

    frame: pd.DataFrame
    tokens: list[TokenArray]
    labels: IntArray
    classes: tuple[str, ...]
    digest: str
    clustered: bool = True
    manifest: Manifest | None = None
    annotations: Annotations | None = None

    def select(self, rows: BoolArray) -> "LabelledProteins":
        """Keep the rows where `rows`, of shape (N,), is true."""
        kept = np.flatnonzero(rows)
        tokens = [self.tokens[i] for i in kept]
        annotations = self.annotations.select(kept) if self.annotations else None
        return self._replace(
            frame=self.frame.iloc[kept], tokens=tokens, labels=self.labels[kept], annotations=annotations
        )

    @property
    def is_positive(self) -> BoolArray:
        """Whether a protein is of the positive class, in a binary task; shape (N,)."""
        return self.labels == 1

    @property
    def lengths(self) -> IntArray:
        """Return the number of residues of each protein, shape (N,)."""
        return np.array([len(t) for t in self.tokens], dtype=np.int64)


def read_table(
    config: CorpusConfig, alphabet: Alphabet, families: Sequence[str] = (), *, domains: bool = False
) -> LabelledProteins:
    """Read and check a labelled table.

    Parameters
    ----------
    config : CorpusConfig
        Its `path` ends in .tsv, .csv or .parquet; text may be compressed (.gz, .bz2, .xz, .zst).
    families : sequence of str, optional
        Read the column ``family``; these are the names that count.
    domains : bool, optional
        Read the column ``domains``.

    Raises
    ------
    TableError
        The file cannot be read; a row has more or fewer fields than the header; a column is missing; an id is empty,
        used twice or has a control character; a label is unknown; a sequence is empty or has an illegal character; a
        cluster is empty; fewer than two classes are there; the table has a manifest and is not as that says; what
        `read_annotations` refuses.
    """
    manifest = read_manifest(config.path)
    frame = _read(config.path)
    _check_columns(frame, config.path)
    _check_ids(frame, config.path)
    frame["label"] = frame["label"].replace(dict(config.aliases))
    classes = _check_labels(frame, config)
    tokens = _tokens(frame, config.path, alphabet)
    clustered = "cluster" in frame
    _fill_clusters(frame, config.path)
    labels = frame["label"].map({name: i for i, name in enumerate(classes)}).to_numpy(dtype=np.int64)
    annotations = None
    if families or domains:
        annotations = read_annotations(frame, families, alphabet, config.path, domains=domains)
    return LabelledProteins(frame, tokens, labels, classes, _digest(frame), clustered, manifest, annotations)


def _read(path: str) -> pd.DataFrame:
    # Not pandas' reader: it fills short rows, takes a field too many for an index, and a protein called NA for none.
    cells: list[list[str]] = []
    for number, row in table_rows(Path(path)):
        if number > len(cells) + 1:
            blank = len(cells) + 1
            raise TableError(f"{path}, row {blank}", "a blank row", action="remove it", path=path, row=blank)
        cells.append(row)
    return pd.DataFrame(cells[1:], columns=cells[0], dtype=str)


def _check_columns(frame: pd.DataFrame, path: str) -> None:
    for column in _NEEDED:
        if column not in frame:
            found = "only " + ", ".join(map(repr, frame.columns)) if len(frame.columns) else "no column"
            raise TableError(path, found, f"a column {column!r}", path=path, column=column)
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise TableError(path, f"more than one column {twice[0]!r}", "each once", path=path, column=twice[0])
    if frame.empty:
        raise TableError(path, "a header and no row", "at least one protein", path=path)


def _check_ids(frame: pd.DataFrame, path: str) -> None:
    empty = np.flatnonzero(frame["id"] == "")
    if empty.size:
        raise cell_error(path, int(empty[0]), "id", "an empty id", "a name")
    for row, name in enumerate(frame["id"]):
        check_id(path, row, name)
    twice = np.flatnonzero(frame["id"].duplicated())
    if twice.size:
        row = int(twice[0])
        first = int(np.flatnonzero(frame["id"] == frame["id"].iloc[row])[0]) + FIRST_ROW
        raise cell_error(path, row, "id", f"{frame['id'].iloc[row]!r} again (first in row {first})", "each id once")


def _check_labels(frame: pd.DataFrame, config: CorpusConfig) -> tuple[str, ...]:
    present = sorted(set(frame["label"]) - {""})
    classes = tuple(present) if config.classes is None else tuple(config.classes)
    unknown = np.flatnonzero(~frame["label"].isin(classes) | (frame["label"] == ""))
    if unknown.size:
        known = ", ".join((*classes, *config.aliases))
        row = int(unknown[0])
        action = (
            "leave the row out, or name its class"
            if config.classes is None
            else "set corpus.classes or corpus.aliases, or rename it (tfclass data import --rename)"
        )
        raise cell_error(config.path, row, "label", repr(frame["label"].iloc[row]), f"one of {known}", action)
    unprintable = np.flatnonzero(~frame["label"].map(is_name))
    if unprintable.size:
        row = int(unprintable[0])
        raise cell_error(config.path, row, "label", repr(frame["label"].iloc[row]), "a short text that can be printed")
    if len(present) < 2:
        found = f"one class only ({present[0]!r})"
        raise TableError(f"{config.path}, column 'label'", found, "at least two", path=config.path, column="label")
    return classes


def _fill_clusters(frame: pd.DataFrame, path: str) -> None:
    if "cluster" not in frame:
        frame["cluster"] = frame["id"]
    # Left alone, all proteins without one would be a single huge cluster.
    empty = np.flatnonzero(frame["cluster"] == "")
    if empty.size:
        action = "a protein with no relatives is a cluster of its own"
        raise cell_error(path, int(empty[0]), "cluster", "an empty cluster", "a name", action)


def _tokens(frame: pd.DataFrame, path: str, alphabet: Alphabet) -> list[TokenArray]:
    tokens = []
    empty_values = []
    for row, sequence in enumerate(frame["sequence"]):
        cleaned = clean(sequence, alphabet)
        if cleaned.problem:
            raise cell_error(path, row, "sequence", cleaned.problem, "residue letters")
        if EMPTY_VALUE in cleaned.notes:
            empty_values.append(row)
        tokens.append(cleaned.tokens)
    if empty_values:
        row = empty_values[0]
        found = f"{frame['sequence'].iloc[row]!r}, which looks like an empty value, in {len(empty_values):,} rows"
        _log.warning("warning: %s", cell_error(path, row, "sequence", found, "residue letters"))
    return tokens


def _digest(frame: pd.DataFrame) -> str:
    return columns_digest(frame, [c for c in ("id", "sequence", "label", "split", "cluster") if c in frame])
