"""The surest wrong predictions, with what a reader needs to judge whether the model or the label is at fault."""

import numpy as np
from pydantic.dataclasses import dataclass

from tfclass.data.table import LabelledProteins
from tfclass.evaluation.homologues import Nearest, Neighbour
from tfclass.evaluation.scored import Scored
from tfclass.sequences.identifiers import entry_link

# Optional columns of a table that are shown.
CONTEXT = ("kingdom", "family", "source")
_MAX_SHOWN = 20


@dataclass(frozen=True)
class Mistake:
    """A protein with a wrong prediction.

    Attributes
    ----------
    call : str
        The predicted class.
    probability : float
        Of the positive class in a binary task, of the predicted class in a multi-class one.
    """

    id: str
    url: str | None
    label: str
    call: str
    probability: float
    length: int
    nearest: Neighbour | None
    kingdom: str | None = None
    family: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class Mistakes:
    """The surest 20 mistakes of one kind, of `total`."""

    key: str
    title: str
    total: int
    proteins: list[Mistake]


def worst_mistakes(test: LabelledProteins, scored: Scored, closest: Nearest) -> list[Mistakes]:
    """List the surest wrong predictions: false positives and negatives, or all of them in a multi-class task."""
    predicted_N, wrong_N = scored.predicted_N, scored.predicted_N != scored.labels_N
    if scored.n_classes == 2:
        name, shown_N = test.classes[1], scored.probability_NC[:, 1]
        kinds = [
            (
                "false_positives",
                f"False positives: not {name}, predicted {name}",
                wrong_N & (predicted_N == 1),
                -shown_N,
            ),
            ("false_negatives", f"False negatives: {name}, not predicted", wrong_N & (predicted_N == 0), shown_N),
        ]
    else:
        shown_N = scored.probability_NC[np.arange(len(predicted_N)), predicted_N]
        kinds = [("wrong_predictions", "Wrong predictions", wrong_N, -shown_N)]
    found = []
    for key, title, chosen_N, order_N in kinds:
        rows = np.flatnonzero(chosen_N)
        surest = rows[np.argsort(order_N[rows], kind="stable")][:_MAX_SHOWN].tolist()
        calls, probabilities = [test.classes[predicted_N[row]] for row in surest], shown_N[surest].tolist()
        proteins = [_mistake(test, closest, *each) for each in zip(surest, calls, probabilities, strict=True)]
        found.append(Mistakes(key, title, len(rows), proteins))
    return found


def most_confident(scored: Scored, n: int) -> list[int]:
    """Choose proteins to explain: the `n` surest right predictions and the `n` surest wrong ones, by their rows.

    Of two classes, the right ones are true positives: of a true negative there is little to see.
    """
    predicted_N = scored.predicted_N
    confidence_N = scored.probability_NC[np.arange(len(predicted_N)), predicted_N]
    right_N = predicted_N == scored.labels_N
    shown_N = right_N & (predicted_N == 1) if scored.n_classes == 2 else right_N
    order = np.argsort(-confidence_N, kind="stable")
    return [*order[shown_N[order]][:n].tolist(), *order[~right_N[order]][:n].tolist()]


def _mistake(test: LabelledProteins, closest: Nearest, row: int, call: str, probability: float) -> Mistake:
    record = test.frame.iloc[row]
    return Mistake(
        id=record["id"],
        url=entry_link(record["id"]),
        label=record["label"],
        call=call,
        probability=probability,
        length=len(test.tokens[row]),
        nearest=closest.neighbour(row),
        **{column: record[column] for column in CONTEXT if column in test.frame},
    )
