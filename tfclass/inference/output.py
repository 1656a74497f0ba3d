"""Predictions as text: TSV for people and shells, JSON lines for programs."""

import json
from collections.abc import Callable, Iterable
from typing import TextIO

from tfclass.inference.predictor import Prediction

COLUMNS = Prediction._fields


def write_tsv(predictions: Iterable[Prediction], stream: TextIO) -> None:
    """Write a header and one line per prediction; an absent number is an empty cell."""
    stream.write("\t".join(COLUMNS) + "\n")
    for row in predictions:
        stream.write("\t".join(_cells(row)) + "\n")


def write_jsonl(predictions: Iterable[Prediction], stream: TextIO) -> None:
    """Write one JSON object per line; an absent number is null."""
    for row in predictions:
        stream.write(json.dumps(row._asdict()) + "\n")


WRITERS: dict[str, Callable[[Iterable[Prediction], TextIO], None]] = {"tsv": write_tsv, "jsonl": write_jsonl}


def _cells(row: Prediction) -> list[str]:
    probability = "" if row.probability is None else f"{row.probability:.6f}"
    # In full: a rounded threshold could contradict the label beside it.
    threshold = "" if row.threshold is None else str(row.threshold)
    return [row.id, str(row.length), row.label, probability, threshold, row.status, row.notes]
