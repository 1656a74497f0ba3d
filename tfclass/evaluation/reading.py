"""Reading a report's folder back: what was scored, and how."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from tfclass.bundle.plain_files import opened
from tfclass.channels.thresholds import Probability
from tfclass.errors import BundleError, ReportError
from tfclass.evaluation.report import CONTENT, PREDICTIONS
from tfclass.evaluation.scored import Scored
from tfclass.limits import MAX_CLASSES, MAX_PREDICTIONS_BYTES, MAX_REPORT_BYTES
from tfclass.names import Name
from tfclass.typing import FloatArray

_COLUMNS = ("id", "label", "call", "probability", "cluster")
# Of a text from a report, what a message shows.
_SHOWN_CHARACTERS = 100


class _Model(BaseModel, strict=True):
    name: Name
    threshold: Probability | None


class _Content(BaseModel, strict=True):
    """What a comparison reads of ``report.json``."""

    bundle: _Model
    class_counts: Annotated[dict[Name, NonNegativeInt], Field(min_length=2, max_length=MAX_CLASSES)]


class Run(NamedTuple):
    """The predictions of one report.

    Attributes
    ----------
    name : str
        What the user calls it.
    model : str
        The bundle's name.
    classes : tuple of str, length C
    ids, clusters_N : ndarray of str, shape (N,)
    """

    name: str
    model: str
    classes: tuple[str, ...]
    ids: npt.NDArray[np.str_]
    clusters_N: npt.NDArray[np.str_]
    scored: Scored

    def in_the_order_of(self, other: "Run") -> "Run":
        """Sort the proteins as those of another run.

        Raises
        ------
        ReportError
            They are not the same proteins with the same labels; the first difference is named.
        """
        if self.classes != other.classes:
            found = f"classes {', '.join(self.classes)}"
            raise ReportError(self.name, found, f"{', '.join(other.classes)}, as in {other.name}")
        place = {record_id: row for row, record_id in enumerate(self.ids.tolist())}
        missing = next((record_id for record_id in other.ids.tolist() if record_id not in place), None)
        if missing is not None:
            raise ReportError(self.name, f"no protein {missing!r}", f"the proteins of {other.name}", record_id=missing)
        rows = np.array([place[record_id] for record_id in other.ids.tolist()], dtype=np.int64)
        more = np.setdiff1d(self.ids, other.ids)
        if len(more):
            found = f"protein {str(more[0])!r}, which {other.name} does not have"
            raise ReportError(self.name, found, "the same proteins", record_id=str(more[0]))
        labels_N = self.scored.labels_N[rows]
        different = np.flatnonzero(labels_N != other.scored.labels_N)
        if len(different):
            row = int(different[0])
            record_id, label = str(other.ids[row]), self.classes[int(labels_N[row])]
            expected = f"{self.classes[int(other.scored.labels_N[row])]!r} as in {other.name}"
            raise ReportError(f"{self.name}, protein {record_id!r}", f"label {label!r}", expected, record_id=record_id)
        scored = self.scored._replace(probability_NC=self.scored.probability_NC[rows], labels_N=labels_N)
        return self._replace(ids=self.ids[rows], clusters_N=self.clusters_N[rows], scored=scored)


def read_run(folder: Path, name: str) -> Run:
    """Read what a report scored.

    Parameters
    ----------
    folder : Path
        With ``report.json`` and ``predictions.tsv``.
    name : str
        For messages and tables.

    Raises
    ------
    ReportError
        A file is missing, damaged, or not one that `tfclass evaluate` wrote.
    """
    content = _checked(read_content(folder, name), folder / CONTENT)
    frame = _frame(folder, name)
    classes = tuple(content.class_counts)
    index = {label: i for i, label in enumerate(classes)}
    where = f"{name}, {PREDICTIONS}"
    if found := _problem(frame, classes):
        raise ReportError(where, found, "what tfclass evaluate writes", "evaluate again")
    try:
        labels_N = np.array([index[label] for label in frame["label"]], dtype=np.int64)
        calls_N = np.array([index[label] for label in frame["call"]], dtype=np.int64)
        scored = Scored(_probabilities(frame, classes), labels_N, content.bundle.threshold)
    except (KeyError, ValueError) as error:
        found = f"a value that cannot be read ({_shown(error)})"
        raise ReportError(where, found, action="evaluate again") from error
    if (scored.calls_N != calls_N).any():
        record_id = frame["id"].iloc[int(np.flatnonzero(scored.calls_N != calls_N)[0])]
        found = f"a call for {_shown(repr(record_id))} that does not follow from its probability"
        raise ReportError(where, found, action="evaluate again", record_id=record_id)
    ids, clusters_N = (frame[column].to_numpy(dtype=str) for column in ("id", "cluster"))
    return Run(name, content.bundle.name, classes, ids, clusters_N, scored)


def read_content(folder: Path, name: str) -> dict[str, Any]:
    """Read ``report.json``, a plain file of at most `MAX_REPORT_BYTES`; its values are not checked.

    Raises
    ------
    ReportError
        It is missing, no plain file, too large, or holds no JSON object.
    """
    path = folder / CONTENT
    action = "name the folder that tfclass evaluate wrote, or the id of its MLflow run"
    with _opened(
        path, MAX_REPORT_BYTES, ReportError(name, f"no {CONTENT}", "a report", action, path=str(path))
    ) as file:
        text = file.read(MAX_REPORT_BYTES)
    try:
        content = json.loads(text.decode())
        if not isinstance(content, dict):
            raise ValueError("not a report")
    except (ValueError, RecursionError) as error:
        reason = _shown(error) if isinstance(error, ValueError) else "nested too deep"
        raise ReportError(str(path), f"damaged content ({reason})", "a report", "evaluate again") from error
    return content


def _checked(content: dict[str, Any], path: Path) -> _Content:
    try:
        return _Content.model_validate(content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        key = ".".join(str(part) for part in problem["loc"])
        found = f"damaged content ({_shown(ascii(key)[1:-1])}: {problem['msg']})"
        raise ReportError(str(path), found, "a report", "evaluate again") from None


@contextmanager
def _opened(path: Path, most: int, missing: ReportError) -> Iterator[BinaryIO]:
    if not path.is_symlink() and not path.exists():
        raise missing
    try:
        with opened(path, most) as stream:
            yield stream
    except BundleError as error:
        raise ReportError(error.where, error.found, error.expected, "evaluate again", path=str(path)) from error


def _problem(frame: pd.DataFrame, classes: tuple[str, ...]) -> str:
    """Say what is wrong with the columns, ids and clusters; empty where nothing is."""
    needed = _COLUMNS if len(classes) == 2 else (*_COLUMNS, *(f"p:{label}" for label in classes))
    missing = [column for column in needed if column not in frame]
    if missing:
        return f"no column {missing[0]!r}"
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        return f"more than one column {_shown(ascii(twice[0]))}"
    if frame.empty:
        return "no protein"
    empty = [column for column in ("id", "cluster") if (frame[column] == "").any()]
    if empty:
        return f"a protein without {empty[0]}"
    repeated = np.flatnonzero(frame["id"].duplicated())
    return f"more than one protein {_shown(ascii(frame['id'].iloc[int(repeated[0])]))}" if len(repeated) else ""


def _shown(text: object) -> str:
    return str(text)[:_SHOWN_CHARACTERS]


def _probabilities(frame: pd.DataFrame, classes: tuple[str, ...]) -> FloatArray:
    if len(classes) == 2:
        positive_N = frame["probability"].to_numpy(dtype=np.float64)
        probability_NC = np.stack([1 - positive_N, positive_N], axis=1)
    else:
        probability_NC = frame[[f"p:{label}" for label in classes]].to_numpy(dtype=np.float64)
    if not np.isfinite(probability_NC).all():
        raise ValueError("a probability that is no finite number")
    if ((probability_NC < 0) | (probability_NC > 1)).any():
        raise ValueError("a probability outside 0 to 1")
    return probability_NC


def _frame(folder: Path, name: str) -> pd.DataFrame:
    path = folder / PREDICTIONS
    missing = ReportError(name, f"no {PREDICTIONS}", "the whole report folder", path=str(path))
    try:
        with _opened(path, MAX_PREDICTIONS_BYTES, missing) as stream:
            # Its names are read as a row: pandas would rename those that are there twice.
            rows = pd.read_csv(stream, sep="\t", header=None, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError, csv.Error) as error:
        found = f"a table that cannot be read ({_shown(error)})"
        raise ReportError(str(path), found, action="evaluate again") from error
    return rows.iloc[1:].set_axis(rows.iloc[0].tolist(), axis=1).reset_index(drop=True)
