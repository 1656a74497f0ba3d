"""Rows that can only be decided when all are there: ``fdr=X``, and a prevalence estimated from the input."""

import json
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from tfclass.channels.thresholds import DecisionRule
from tfclass.inference.rows import OF_POSITIVES, Prediction
from tfclass.typing import FloatArray


def decided(
    rows: Iterable[Prediction],
    decide: Callable[[FloatArray], DecisionRule],
    classes: tuple[str, ...],
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
    """
    probabilities = array("d")
    with tempfile.TemporaryFile("w+", encoding="ascii") as waiting:
        for row in rows:
            if row.probability is not None:
                probabilities.append(row.probability)
            # JSON keeps every float, and ids that are no UTF-8.
            waiting.write(json.dumps(row) + "\n")
        probability_N = np.frombuffer(probabilities)
        rule = decide(probability_N)
        shown_NC = rule.shown(np.stack([1 - probability_N, probability_N], axis=1))
        settled = zip(shown_NC[:, 1].tolist(), rule.predict(shown_NC).tolist(), strict=True)
        waiting.seek(0)
        for line in waiting:
            row = Prediction(*json.loads(line))._replace(threshold=rule.threshold)
            if row.probability is not None:
                probability, predicted = next(settled)
                row = row._replace(probability=probability, label=classes[predicted])
                row = row if predicted else row._replace(**dict.fromkeys(OF_POSITIVES))
            yield row
