"""Read a report's folder back: its content, and the predictions that were scored."""

import csv
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import ValidationError

from tfclass.errors import ReportError
from tfclass.evaluation.content import ReportContent, from_json
from tfclass.evaluation.report import CONTENT, PREDICTIONS
from tfclass.evaluation.scored import Scored
from tfclass.io.reading import plain_file
from tfclass.limits import MAX_PREDICTIONS_BYTES, MAX_REPORT_BYTES
from tfclass.typing import FloatArray

_COLUMNS = ("id", "label", "call", "probability", "cluster")
# Of a text from a report, what a message shows.
_SHOWN_CHARACTERS = 100


class Run(NamedTuple):
    """The predictions of one report; `name` is that of the user for it, `model` that of the bundle."""

    name: str
    model: str
    classes: tuple[str, ...]
    ids_N: npt.NDArray[np.str_]
    clusters_N: npt.NDArray[np.str_]
    scored: Scored

    def in_the_order_of(self, other: "Run") -> "Run":
        """Sort the proteins as those of another run; `ReportError` where they or their labels are not the same."""
        if self.classes != other.classes:
            found, expected = ", ".join(self.classes), ", ".join(other.classes)
            raise ReportError(f"{self.name}: found classes {found}; expected {expected}, as in {other.name}")
        missing, more = np.setdiff1d(other.ids_N, self.ids_N), np.setdiff1d(self.ids_N, other.ids_N)
        if len(missing):
            raise ReportError(f"{self.name}: found no protein {str(missing[0])!r}; expected those of {other.name}")
        if len(more):
            found = f"protein {str(more[0])!r}, which {other.name} does not have"
            raise ReportError(f"{self.name}: found {found}; expected the same proteins")
        rows = pd.Index(self.ids_N).get_indexer(pd.Index(other.ids_N))
        run = self._replace(ids_N=other.ids_N, clusters_N=self.clusters_N[rows], scored=self.scored.select(rows))
        for row in np.flatnonzero(run.scored.labels_N != other.scored.labels_N)[:1]:
            label, expected = (self.classes[int(each.scored.labels_N[row])] for each in (run, other))
            where = f"{self.name}, protein {str(other.ids_N[row])!r}"
            raise ReportError(f"{where}: found label {label!r}; expected {expected!r} as in {other.name}")
        return run


def read_report(folder: Path, name: str) -> ReportContent:
    """Read ``report.json``; messages say `name`.

    Raises
    ------
    ReportError
        It is missing, damaged, too large, no plain file, or not one that this version writes.
    """
    path = folder / CONTENT
    action = "name the folder that tfclass evaluate wrote, or the id of its MLflow run"
    with _opened(path, MAX_REPORT_BYTES, f"{name}: found no {CONTENT}; expected a report; {action}") as file:
        text = file.read(MAX_REPORT_BYTES)
    try:
        return from_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        key = ".".join(str(part) for part in problem["loc"])
        reason = f"{_shown(ascii(key)[1:-1])}: {problem['msg']}" if key else problem["msg"]
        raise ReportError(f"{path}: found damaged content ({reason}); expected a report; evaluate again") from None


def read_run(folder: Path, name: str) -> Run:
    """Read the predictions that a report scored; errors as for `read_report`."""
    content, frame = read_report(folder, name), _frame(folder, name)
    classes = tuple(content.class_counts)
    index = {label: i for i, label in enumerate(classes)}
    where = f"{name}, {PREDICTIONS}"
    if found := _problem(frame, classes):
        raise ReportError(f"{where}: found {found}; expected what tfclass evaluate writes; evaluate again")
    try:
        labels_N, predicted_N = (
            np.array([index[label] for label in frame[column]], dtype=np.int64) for column in ("label", "call")
        )
        scored = Scored(_probabilities(frame, classes), labels_N, content.bundle.threshold)
    except (KeyError, ValueError) as error:
        reason = f"a value that cannot be read ({_shown(error)})"
        raise ReportError(f"{where}: found {reason}; evaluate again") from error
    for row in np.flatnonzero(scored.predicted_N != predicted_N)[:1]:
        found = f"a call for {_shown(repr(frame['id'].iloc[int(row)]))} that does not follow from its probability"
        raise ReportError(f"{where}: found {found}; evaluate again")
    ids, clusters_N = (frame[column].to_numpy(dtype=str) for column in ("id", "cluster"))
    return Run(name, content.bundle.name, classes, ids, clusters_N, scored)


def _opened(path: Path, max_bytes: int, missing: str) -> AbstractContextManager[BinaryIO]:
    if not path.is_symlink() and not path.exists():
        raise ReportError(missing)
    return plain_file(path, max_bytes, ReportError, "evaluate again")


def _frame(folder: Path, name: str) -> pd.DataFrame:
    path = folder / PREDICTIONS
    missing = f"{name}: found no {PREDICTIONS}; expected the whole report folder"
    try:
        with _opened(path, MAX_PREDICTIONS_BYTES, missing) as stream:
            # The names are read as a row: pandas would rename those that are there twice.
            rows = pd.read_csv(stream, sep="\t", header=None, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError, csv.Error) as error:
        raise ReportError(f"{path}: found a table that cannot be read ({_shown(error)}); evaluate again") from error
    return rows.iloc[1:].set_axis(rows.iloc[0].tolist(), axis=1).reset_index(drop=True)


def _problem(frame: pd.DataFrame, classes: tuple[str, ...]) -> str:
    """Return what is wrong with the columns, ids and clusters; empty where nothing is."""
    needed = _COLUMNS if len(classes) == 2 else (*_COLUMNS, *(f"p:{label}" for label in classes))
    for column in needed:
        if column not in frame:
            return f"no column {column!r}"
    for column in frame.columns[frame.columns.duplicated()]:
        return f"more than one column {_shown(ascii(column))}"
    if frame.empty:
        return "no protein"
    for column in ("id", "cluster"):
        if (frame[column] == "").any():
            return f"a protein without {column}"
    for row in np.flatnonzero(frame["id"].duplicated()):
        return f"more than one protein {_shown(ascii(frame['id'].iloc[int(row)]))}"
    return ""


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


def _shown(text: object) -> str:
    return str(text)[:_SHOWN_CHARACTERS]
