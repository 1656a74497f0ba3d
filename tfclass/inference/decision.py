"""Rows that can only be decided when all are there: ``fdr=X``, and a prevalence estimated from the input."""

import json
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from tfclass.channels.calibration import at_prevalence
from tfclass.channels.thresholds import Decision, decimals_for
from tfclass.inference.rows import OF_POSITIVES, Prediction
from tfclass.typing import FloatArray


def decided(
    rows: Iterable[Prediction],
    decide: Callable[[FloatArray], Decision],
    classes: tuple[str, ...],
    trained_prevalence: float | None,
) -> Iterator[Prediction]:
    """Read all rows, decide, and yield them again with their threshold, label and moved probability.

    The rows wait in a temporary file; memory holds eight bytes for each.

    Parameters
    ----------
    rows : iterable of Prediction
        Provisional ones: probabilities at the prevalence of the calibration, not rounded; and what a predicted positive
        shows, for all.
    decide : callable
        Called with the probabilities of all rows that were scored, float64, shape (N,).
    classes : tuple of str, length 2
        The positive one last.
    trained_prevalence : float or None
        That of the calibration; None when unknown.
    """
    probabilities = array("d")
    with tempfile.TemporaryFile("w+", encoding="ascii") as waiting:
        for row in rows:
            if row.probability is not None:
                probabilities.append(row.probability)
            # JSON keeps every float, and ids that are no UTF-8.
            waiting.write(json.dumps(row) + "\n")
        probability_N = np.frombuffer(probabilities)
        threshold, prevalence = decide(probability_N)
        if prevalence is not None and trained_prevalence is not None:
            probability_N = at_prevalence(probability_N, trained_prevalence, prevalence)
        rounded = iter(probability_N.round(decimals_for(threshold)).tolist())
        waiting.seek(0)
        for line in waiting:
            row = Prediction(*json.loads(line))._replace(threshold=threshold)
            yield row if row.probability is None else _settled(row, next(rounded), threshold, classes)


def _settled(row: Prediction, probability: float, threshold: float, classes: tuple[str, ...]) -> Prediction:
    positive = probability >= threshold
    row = row._replace(probability=probability, label=classes[int(positive)])
    return row if positive else row._replace(**dict.fromkeys(OF_POSITIVES))
