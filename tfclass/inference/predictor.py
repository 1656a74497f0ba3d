"""Records in, one row per record out, in order, in constant memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from tfclass.bundle.bundle import DEFAULT, Bundle, load_bundle
from tfclass.bundle.calibration import at_prevalence
from tfclass.bundle.operating_points import choose_threshold, max_mcc_point
from tfclass.errors import ConfigError
from tfclass.inference.duplicates import SeenIds
from tfclass.inference.registry import locate_model
from tfclass.networks.scoring import MAX_RESIDUES, Precision, logits_of
from tfclass.sequence.cleaning import CleanSequence, clean
from tfclass.sequence.fasta import Record

# Residues and records read before a window is scored. Large enough that sorting by length leaves little padding,
# small enough that memory stays flat and rows appear while it runs.
_WINDOW_RESIDUES = 2_000_000
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
    threshold : float or str, optional
        Instead of the model's own; see `choose_threshold` for the rules.
    device : torch.device, optional
        The CPU by default.
    max_residues : int
        Most padded residues in a batch.
    precision : str
        ``float32``, or ``bf16``: about twice as fast on processors that compute in bfloat16, slower on others.
    cpu_fallback : bool
        Score on the CPU a protein that is too long for the memory of the device.
    prevalence : float, optional
        Share of positives to expect among the records; probabilities and the rules for the threshold are then those for
        this share, instead of the one that the model was calibrated at.

    Raises
    ------
    ConfigError
        A threshold or prevalence for a multi-class model, or one that is refused; see `choose_threshold` and
        `Calibration.at_prevalence`.

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
        threshold: float | str | None = None,
        device: torch.device | None = None,
        max_residues: int = MAX_RESIDUES,
        precision: Precision = "float32",
        cpu_fallback: bool = False,
        prevalence: float | None = None,
    ) -> None:
        self.bundle = bundle
        self.binary = len(bundle.classes) == 2
        self.threshold = _threshold(threshold, bundle, prevalence)
        self.prevalence = prevalence
        self.max_residues = max_residues
        self.precision: Precision = precision
        self.cpu_fallback = cpu_fallback
        bundle.model.to(device or torch.device("cpu"))

    @classmethod
    def load(cls, model: str | Path = DEFAULT, *, threshold: float | str | None = None) -> "Predictor":
        """Load a model by folder, shipped name or MLflow address; see `locate_model` and `load_bundle` for errors."""
        return cls(load_bundle(locate_model(str(model))), threshold=threshold)

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
        seen = SeenIds()
        for window in windows(records):
            yield from self.predict_window(window, seen.add([record.id for record in window]))

    def predict_window(self, window: list[Record], repeated: list[bool]) -> Iterator[Prediction]:
        """Score records at once; see `predict`.

        Parameters
        ----------
        window : list of Record
        repeated : list of bool
            Which of them have an id that an earlier record of the input had.

        Yields
        ------
        Prediction
        """
        cleaned = [clean(record.sequence, self.bundle.vocabulary) for record in window]
        # Genomes and metagenomes repeat themselves; what is the same is scored once.
        places: dict[bytes, int] = {}
        distinct: list[npt.NDArray[np.uint8]] = []
        place_of: list[int | None] = []
        for sequence in cleaned:
            place = None if sequence.problem else places.setdefault(sequence.tokens.tobytes(), len(distinct))
            if place == len(distinct):
                distinct.append(sequence.tokens)
            place_of.append(place)
        logits_NC = logits_of(
            self.bundle.model, distinct, self.max_residues, self.precision, cpu_fallback=self.cpu_fallback
        )
        calibration = self.bundle.calibration
        probability_NC = calibration.probability(logits_NC)
        if self.prevalence is not None:
            probability_NC = calibration.at_prevalence(probability_NC, self.prevalence)
        for record, sequence, again, place in zip(window, cleaned, repeated, place_of, strict=True):
            scored = None if place is None else probability_NC[place]
            yield self._row(record, sequence, ("duplicate_id",) if again else (), scored)

    def _row(
        self,
        record: Record,
        sequence: CleanSequence,
        first_notes: tuple[str, ...],
        probability_C: Iterable[float] | None,
    ) -> Prediction:
        notes = ";".join((*first_notes, *sequence.notes, *([sequence.problem] if sequence.problem else [])))
        if probability_C is None:
            return Prediction(record.id, len(record.sequence), "", None, self.threshold, "skipped", notes)
        probabilities = [round(float(p), 6) for p in probability_C]
        # The call is made on the number that is shown, so that a reader can repeat it.
        called = (
            int(probabilities[1] >= self.threshold)
            if self.threshold is not None
            else max(range(len(probabilities)), key=probabilities.__getitem__)
        )
        shown = probabilities[1] if self.binary else probabilities[called]
        label = self.bundle.classes[called]
        return Prediction(record.id, len(sequence.tokens), label, shown, self.threshold, "ok", notes)


def windows(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Cut records into lists that are scored at once: as many as fit a fixed number of residues."""
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


def _threshold(asked: float | str | None, bundle: Bundle, prevalence: float | None) -> float | None:
    own, points = bundle.threshold, bundle.operating_points
    if own is None and asked is not None:
        raise ConfigError("threshold", str(asked), "none: the likeliest of several classes is called")
    if prevalence is not None:
        known = bundle.calibration.known_prevalence()
        points = tuple(point.at_prevalence(known, prevalence) for point in points)
        shifted = float(at_prevalence(np.array([own]), known, prevalence)[0])
        own = max_mcc_point(points, prevalence).threshold if points else shifted
    return own if own is None or asked is None else choose_threshold(asked, own, points)
