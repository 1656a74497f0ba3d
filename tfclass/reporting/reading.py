"""Reading a report's folder back: what was scored, and how."""

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from tfclass.errors import ReportError
from tfclass.evaluation.scored import Scored
from tfclass.reporting.report import CONTENT, PREDICTIONS

_COLUMNS = ("id", "label", "call", "probability", "cluster")


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
    scored : Scored
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
    content = _content(folder, name)
    frame = _frame(folder, name)
    classes = tuple(content["class_counts"])
    index = {label: i for i, label in enumerate(classes)}
    needed = _COLUMNS if len(classes) == 2 else (*_COLUMNS, *(f"p:{label}" for label in classes))
    missing = [column for column in needed if column not in frame]
    where = f"{name}, {PREDICTIONS}"
    if missing or frame.empty:
        found = f"no column {missing[0]!r}" if missing else "no protein"
        raise ReportError(where, found, "what tfclass evaluate writes", "evaluate again")
    try:
        labels_N = np.array([index[label] for label in frame["label"]], dtype=np.int64)
        calls_N = np.array([index[label] for label in frame["call"]], dtype=np.int64)
        scored = Scored(_probabilities(frame, classes), labels_N, content["bundle"]["threshold"])
    except (KeyError, ValueError) as error:
        raise ReportError(where, f"a value that cannot be read ({error})", action="evaluate again") from error
    if (scored.calls_N != calls_N).any():
        record_id = frame["id"].iloc[int(np.flatnonzero(scored.calls_N != calls_N)[0])]
        found = f"a call for {record_id!r} that does not follow from its probability"
        raise ReportError(where, found, action="evaluate again", record_id=record_id)
    ids, clusters_N = (frame[column].to_numpy(dtype=str) for column in ("id", "cluster"))
    return Run(name, content["bundle"]["name"], classes, ids, clusters_N, scored)


def _probabilities(frame: pd.DataFrame, classes: tuple[str, ...]) -> npt.NDArray[np.float64]:
    if len(classes) == 2:
        positive_N = frame["probability"].to_numpy(dtype=np.float64)
        probability_NC = np.stack([1 - positive_N, positive_N], axis=1)
    else:
        probability_NC = frame[[f"p:{label}" for label in classes]].to_numpy(dtype=np.float64)
    if not np.isfinite(probability_NC).all():
        raise ValueError("a probability that is no finite number")
    return probability_NC


def _content(folder: Path, name: str) -> dict[str, Any]:
    path = folder / CONTENT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content["class_counts"], dict) or not {"name", "threshold"} <= set(content["bundle"]):
            raise ValueError("not a report")
    except FileNotFoundError:
        action = "name the folder that tfclass evaluate wrote, or the id of its MLflow run"
        raise ReportError(name, f"no {CONTENT}", "a report", action, path=str(path)) from None
    except OSError as error:
        raise ReportError(str(path), f"a file that cannot be read ({error.strerror})", path=str(path)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ReportError(str(path), f"damaged content ({error})", "a report", "evaluate again") from error
    return content


def _frame(folder: Path, name: str) -> pd.DataFrame:
    path = folder / PREDICTIONS
    try:
        return pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise ReportError(name, f"no {PREDICTIONS}", "the whole report folder", path=str(path)) from None
    except (OSError, ValueError, csv.Error) as error:
        raise ReportError(str(path), f"a table that cannot be read ({error})", action="evaluate again") from error
