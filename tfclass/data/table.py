"""Labelled tables: TSV, CSV or Parquet with ``id``, ``sequence``, ``label`` and, where known, ``split``, ``cluster``.

On request, ``family`` and ``domains`` are read too (`tfclass.data.annotations`). Every row is checked before training
starts; the error names the first bad cell by row and column, the header being row 1 as in an editor.
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
from tfclass.data.manifest import Manifest, new_manifest, read_manifest
from tfclass.errors import TableError
from tfclass.sequences.alphabet import EMPTY_VALUE, Alphabet, clean
from tfclass.typing import BoolArray, FloatArray, IntArray, TokenArray, is_name

_NEEDED = ("id", "sequence", "label")
_LABEL_HINT = "set corpus.classes or corpus.aliases, or rename it (tfclass data import --rename)"

_log = logging.getLogger(__name__)


class LabelledProteins(NamedTuple):
    """A checked table, ready for batching.

    Attributes
    ----------
    frame : DataFrame
        The table with all its columns; ``label`` holds class names after aliases, and ``cluster`` is always there
        (a protein's own id where the table has none).
    tokens : list of ndarray of uint8, each of shape (L,)
        The cleaned sequences.
    labels : ndarray of int64, shape (N,)
        Index into `classes`, whose last one is the positive class in a binary task.
    digest : str
        SHA-256 of ids, sequences, labels, splits and clusters, in hexadecimal.
    clustered : bool
        Whether the table has a column ``cluster`` of its own.
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
        """Return True for each protein of the positive class, shape (N,); for binary tasks."""
        return self.labels == 1

    @property
    def cluster_weights(self) -> FloatArray:
        """Return one over the size of the cluster of each protein, shape (N,), so that clusters count alike."""
        _, cluster_N, size = np.unique(self.frame["cluster"], return_inverse=True, return_counts=True)
        return 1.0 / size[cluster_N]

    @property
    def lengths(self) -> IntArray:
        """Return the number of residues of each protein, shape (N,)."""
        return np.array([len(t) for t in self.tokens], dtype=np.int64)


def read_table(
    config: CorpusConfig,
    alphabet: Alphabet,
    families: Sequence[str] = (),
    *,
    domains: bool = False,
    label_hint: str = _LABEL_HINT,
) -> LabelledProteins:
    """Read and check a labelled table.

    Parameters
    ----------
    families : sequence of str, optional
        Read the column ``family``; these are the names that count.
    domains : bool, optional
        Read the column ``domains``.
    label_hint : str, optional
        For the message about an unknown label: how to name other classes.

    Raises
    ------
    TableError
        The file cannot be read; a row has more or fewer fields than the header; a column is missing; an id is empty,
        used twice or has a control character; a label is unknown; a sequence is empty or has an illegal character; a
        cluster is empty; fewer than two classes are there; the table differs from its manifest; or the columns that
        `read_annotations` reads are at fault.
    """
    path = config.path
    manifest = read_manifest(path)
    frame = _read(path)
    _check_columns(frame, path)
    _check_ids(frame, path)
    frame["label"] = frame["label"].replace(dict(config.aliases))
    classes = _check_labels(frame, config, label_hint)
    tokens = _tokens(frame, path, alphabet)
    clustered = "cluster" in frame
    if not clustered:
        frame["cluster"] = frame["id"]
    _check_clusters(frame, path)
    labels = frame["label"].map({name: i for i, name in enumerate(classes)}).to_numpy(dtype=np.int64)
    digest = columns_digest(frame, [c for c in ("id", "sequence", "label", "split", "cluster") if c in frame])
    annotations = None
    if families or domains:
        annotations = read_annotations(frame, families, alphabet, path, domains=domains)
    return LabelledProteins(frame, tokens, labels, classes, digest, clustered, manifest, annotations)


def read_corpus(table: Path) -> tuple[LabelledProteins, Manifest]:
    """Read a table with its labels as they are, and its manifest, or a new one."""
    proteins = read_table(CorpusConfig.default(path=str(table), classes=None, aliases={}), Alphabet())
    manifest = proteins.manifest
    return proteins, new_manifest(table, len(proteins.frame)) if manifest is None else manifest


def without_default_clusters(proteins: LabelledProteins) -> pd.DataFrame:
    """Return the table, without the column ``cluster`` where `read_table` added it."""
    return proteins.frame if proteins.clustered else proteins.frame.drop(columns="cluster")


def _read(path: str) -> pd.DataFrame:
    cells: list[list[str]] = []
    for number, row in table_rows(Path(path)):
        if number > len(cells) + 1:
            raise TableError(f"{path}, row {len(cells) + 1}: found a blank row; remove it")
        cells.append(row)
    return pd.DataFrame(cells[1:], columns=cells[0], dtype=str)


def _check_columns(frame: pd.DataFrame, path: str) -> None:
    for column in _NEEDED:
        if column not in frame:
            found = "only " + ", ".join(map(repr, frame.columns)) if len(frame.columns) else "no column"
            raise TableError(f"{path}: found {found}; expected a column {column!r}")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise TableError(f"{path}: found more than one column {twice[0]!r}; expected each once")
    if frame.empty:
        raise TableError(f"{path}: found a header and no row; expected at least one protein")


def _check_ids(frame: pd.DataFrame, path: str) -> None:
    ids = frame["id"]
    if (row := _first(ids == "")) is not None:
        raise cell_error(path, row, "id", "an empty id", "a name")
    for row, name in enumerate(ids):
        check_id(path, row, name)
    if (row := _first(ids.duplicated())) is not None:
        before = int(np.flatnonzero(ids == ids.iloc[row])[0]) + FIRST_ROW
        raise cell_error(path, row, "id", f"{ids.iloc[row]!r} again (first in row {before})", "each id once")


def _check_labels(frame: pd.DataFrame, config: CorpusConfig, hint: str) -> tuple[str, ...]:
    labels = frame["label"]
    present = sorted(set(labels) - {""})
    classes = tuple(present) if config.classes is None else tuple(config.classes)
    if (row := _first(~labels.isin(classes) | (labels == ""))) is not None:
        action = hint if config.classes is not None else "leave the row out, or name its class"
        known = ", ".join((*classes, *config.aliases))
        raise cell_error(config.path, row, "label", repr(labels.iloc[row]), f"one of {known}", action)
    if (row := _first(~labels.map(is_name))) is not None:
        raise cell_error(config.path, row, "label", repr(labels.iloc[row]), "a short text that can be printed")
    if len(present) < 2:
        found = f"one class only ({present[0]!r})"
        raise TableError(f"{config.path}, column 'label': found {found}; expected at least two")
    return classes


def _check_clusters(frame: pd.DataFrame, path: str) -> None:
    # Otherwise all proteins without one would be a single huge cluster.
    if (row := _first(frame["cluster"] == "")) is not None:
        action = "a protein with no homologue is a cluster of its own"
        raise cell_error(path, row, "cluster", "an empty cluster", "a name", action)


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


def _first(rows: pd.Series) -> int | None:
    """Return the first row where a condition is true."""
    found = np.flatnonzero(rows)
    return int(found[0]) if found.size else None
