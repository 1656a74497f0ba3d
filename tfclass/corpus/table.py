"""Labelled tables: TSV, CSV or Parquet with ``id``, ``sequence``, ``label`` and, where known, ``split``, ``cluster``.

Every row is checked before anything is trained on it; the first fault is named by row and column. Row numbers are
those of an editor or spreadsheet: the header is row 1.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow

from tfclass.config import CorpusConfig
from tfclass.errors import TableError
from tfclass.sequence.cleaning import clean
from tfclass.sequence.vocabulary import Vocabulary

_NEEDED = ("id", "sequence", "label")
_FIRST_ROW = 2


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
    """

    frame: pd.DataFrame
    tokens: list[npt.NDArray[np.uint8]]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    digest: str

    def select(self, rows: npt.NDArray[np.bool_]) -> "LabelledProteins":
        """Keep the rows where `rows`, of shape (N,), is true."""
        kept = np.flatnonzero(rows)
        tokens = [self.tokens[i] for i in kept]
        return self._replace(frame=self.frame.iloc[kept], tokens=tokens, labels=self.labels[kept])

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Residues per protein, shape (N,)."""
        return np.array([len(t) for t in self.tokens], dtype=np.int64)


def read_table(config: CorpusConfig, vocabulary: Vocabulary) -> LabelledProteins:
    """Read and check a labelled table.

    Parameters
    ----------
    config : CorpusConfig
        Its `path` ends in .tsv, .csv or .parquet; text may be compressed (.gz, .bz2, .xz, .zst).
    vocabulary : Vocabulary

    Returns
    -------
    LabelledProteins

    Raises
    ------
    TableError
        The file cannot be read; a column is missing; an id is empty or used twice; a label is unknown; a sequence is
        empty or has an illegal character; fewer than two classes are there.
    """
    frame = _read(config.path)
    _check_columns(frame, config.path)
    _check_ids(frame, config.path)
    frame["label"] = frame["label"].replace(dict(config.aliases))
    classes = _check_labels(frame, config)
    tokens = _tokens(frame, config.path, vocabulary)
    if "cluster" not in frame:
        frame["cluster"] = frame["id"]
    labels = frame["label"].map({name: i for i, name in enumerate(classes)}).to_numpy(dtype=np.int64)
    return LabelledProteins(frame, tokens, labels, classes, _digest(frame))


def _read(path: str) -> pd.DataFrame:
    name = Path(path)
    kind = next((s for s in reversed(name.suffixes) if s in (".tsv", ".csv", ".parquet")), None)
    if kind is None:
        raise TableError(path, f"a name ending in {name.suffix!r}", ".tsv, .csv or .parquet", path=path)
    try:
        if kind == ".parquet":
            return pd.read_parquet(path).astype(str)
        # Everything is text: a protein may well be called NA, and an id may look like a number.
        separator = "\t" if kind == ".tsv" else ","
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, na_filter=False)
    except FileNotFoundError:
        raise TableError(path, "no such file", action="check corpus.path", path=path) from None
    except (OSError, EOFError, UnicodeDecodeError, pyarrow.ArrowException, pd.errors.ParserError) as error:
        raise TableError(path, f"a table that cannot be read ({error})", path=path) from error
    except pd.errors.EmptyDataError:
        raise TableError(path, "an empty file", "a header and at least one row", path=path) from None


def _check_columns(frame: pd.DataFrame, path: str) -> None:
    for column in _NEEDED:
        if column not in frame:
            found = "only " + ", ".join(map(repr, frame.columns))
            raise TableError(path, found, f"a column {column!r}", path=path, column=column)
    if frame.empty:
        raise TableError(path, "a header and no row", "at least one protein", path=path)


def _check_ids(frame: pd.DataFrame, path: str) -> None:
    empty = np.flatnonzero(frame["id"] == "")
    if empty.size:
        raise _cell(path, int(empty[0]), "id", "an empty id", "a name")
    twice = np.flatnonzero(frame["id"].duplicated())
    if twice.size:
        row = int(twice[0])
        first = int(np.flatnonzero(frame["id"] == frame["id"].iloc[row])[0]) + _FIRST_ROW
        raise _cell(path, row, "id", f"{frame['id'].iloc[row]!r} again (first in row {first})", "each id once")


def _check_labels(frame: pd.DataFrame, config: CorpusConfig) -> tuple[str, ...]:
    present = sorted(set(frame["label"]))
    classes = tuple(present) if config.classes is None else tuple(config.classes)
    unknown = np.flatnonzero(~frame["label"].isin(classes) | (frame["label"] == ""))
    if unknown.size:
        known = ", ".join((*classes, *config.aliases))
        row = int(unknown[0])
        action = "set corpus.classes or corpus.aliases"
        raise _cell(config.path, row, "label", repr(frame["label"].iloc[row]), f"one of {known}", action)
    if len(present) < 2:
        found = f"one class only ({present[0]!r})"
        raise TableError(f"{config.path}, column 'label'", found, "at least two", path=config.path, column="label")
    return classes


def _tokens(frame: pd.DataFrame, path: str, vocabulary: Vocabulary) -> list[npt.NDArray[np.uint8]]:
    tokens = []
    for row, sequence in enumerate(frame["sequence"]):
        cleaned = clean(sequence, vocabulary)
        if cleaned.problem:
            raise _cell(path, row, "sequence", cleaned.problem, "residue letters")
        tokens.append(cleaned.tokens)
    return tokens


def _cell(path: str, row: int, column: str, found: str, expected: str, action: str = "") -> TableError:
    number = row + _FIRST_ROW
    where = f"{path}, row {number}, column {column!r}"
    return TableError(where, found, expected, action, path=path, row=number, column=column)


def _digest(frame: pd.DataFrame) -> str:
    columns = [c for c in ("id", "sequence", "label", "split", "cluster") if c in frame]
    digest = hashlib.sha256()
    for column in columns:
        digest.update("\0".join([column, *frame[column]]).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
