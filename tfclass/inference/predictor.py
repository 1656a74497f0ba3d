"""Records in, one row per record out, in order, in constant memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from tfclass.bundle.bundle import DEFAULT, Bundle, find_bundle, load_bundle
from tfclass.errors import ConfigError
from tfclass.networks.scoring import MAX_RESIDUES, logits_of
from tfclass.sequence.cleaning import CleanSequence, clean
from tfclass.sequence.fasta import Record

# Residues and records read before a window is scored. Large enough that sorting by length leaves little padding,
# small enough that memory stays flat and rows appear while it runs.
_WINDOW_RESIDUES = 1_000_000
_WINDOW_RECORDS = 10_000


class Prediction(NamedTuple):
    """One row of output.

    Attributes
    ----------
    id : str
        As in the input.
    length : int
        Residues scored; characters given when skipped.
    label : str
        The class called; empty when skipped.
    probability : float or None
        Of the positive class in a binary model, of the called class in a multi-class one; six decimals; None when
        skipped.
    threshold : float or None
        What `probability` was held against; None in a multi-class model.
    status : str
        ``ok`` or ``skipped``.
    notes : str
        What was done to the sequence, or why it was skipped; joined by ``;``.
    """

    id: str
    length: int
    label: str
    probability: float | None
    threshold: float | None
    status: str
    notes: str


class Predictor:
    """Scores records with one model.

    Parameters
    ----------
    bundle : Bundle
        Its model is used on `device`, and left there in the mode it had.
    threshold : float, optional
        Instead of the model's own.
    device : torch.device, optional
        The CPU by default.
    max_residues : int
        Most padded residues in a batch.

    Raises
    ------
    ConfigError
        A threshold for a multi-class model, or one outside 0 to 1.

    Examples
    --------
    >>> predictor = Predictor.load()
    >>> [row.status for row in predictor.predict([Record("a", "a", "MKV*"), Record("b", "b", "")])]
    ['ok', 'skipped']
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        threshold: float | None = None,
        device: torch.device | None = None,
        max_residues: int = MAX_RESIDUES,
    ) -> None:
        self.bundle = bundle
        self.binary = len(bundle.classes) == 2
        self.threshold = bundle.threshold if threshold is None else _checked(threshold, self.binary)
        self.max_residues = max_residues
        bundle.model.to(device or torch.device("cpu"))

    @classmethod
    def load(cls, model: str | Path = DEFAULT, *, threshold: float | None = None) -> "Predictor":
        """Load a model by folder or by shipped name; see `find_bundle` and `load_bundle` for errors."""
        return cls(load_bundle(find_bundle(str(model))), threshold=threshold)

    def predict(self, records: Iterable[Record]) -> Iterator[Prediction]:
        """Score records.

        Parameters
        ----------
        records : iterable of Record
            Any number, any length.

        Yields
        ------
        Prediction
            One per record, in the same order.
        """
        for window in _windows(records):
            yield from self._predict_window(window)

    def _predict_window(self, window: list[Record]) -> Iterator[Prediction]:
        cleaned = [clean(record.sequence, self.bundle.vocabulary) for record in window]
        usable = [sequence.tokens for sequence in cleaned if not sequence.problem]
        logits_NC = logits_of(self.bundle.model, usable, self.max_residues)
        probability_NC = iter(self.bundle.calibration.probability(logits_NC))
        for record, sequence in zip(window, cleaned, strict=True):
            yield self._row(record, sequence, None if sequence.problem else next(probability_NC))

    def _row(self, record: Record, sequence: CleanSequence, probability_C: Iterable[float] | None) -> Prediction:
        if probability_C is None:
            notes = ";".join((*sequence.notes, sequence.problem))
            return Prediction(record.id, len(record.sequence), "", None, self.threshold, "skipped", notes)
        probabilities = [round(float(p), 6) for p in probability_C]
        # The call is made on the number that is shown, so that a reader can repeat it.
        called = (
            int(probabilities[1] >= self.threshold)
            if self.threshold is not None
            else max(range(len(probabilities)), key=probabilities.__getitem__)
        )
        shown = probabilities[1] if self.binary else probabilities[called]
        label, notes = self.bundle.classes[called], ";".join(sequence.notes)
        return Prediction(record.id, len(sequence.tokens), label, shown, self.threshold, "ok", notes)


def _windows(records: Iterable[Record]) -> Iterator[list[Record]]:
    window: list[Record] = []
    residues = 0
    for record in records:
        window.append(record)
        residues += len(record.sequence)
        if residues >= _WINDOW_RESIDUES or len(window) >= _WINDOW_RECORDS:
            yield window
            window, residues = [], 0
    if window:
        yield window


def _checked(threshold: float, binary: bool) -> float:
    if not binary:
        raise ConfigError("threshold", str(threshold), "none: the likeliest of several classes is called")
    if not 0.0 <= threshold <= 1.0:
        raise ConfigError("threshold", str(threshold), "a probability between 0 and 1")
    return threshold
