"""Records in, one row per record out, in order, in constant memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from tfclass.bundle.answers import Answers, answer, choose_channel, decision_rule_of
from tfclass.bundle.bundle import DEFAULT, Bundle, find_bundle, load_bundle
from tfclass.channels.thresholds import DecisionRule, depends_on_input
from tfclass.config import Channel
from tfclass.errors import MemoryLimitError
from tfclass.inference.decision import decided
from tfclass.inference.duplicates import SeenIds
from tfclass.inference.rows import Prediction, columns_of, details
from tfclass.models.forward import MAX_RESIDUES, Precision
from tfclass.sequences.cleaning import CleanSequence, clean
from tfclass.sequences.fasta import Record
from tfclass.typing import FloatArray, TokenArray

# Residues and records read before a window is scored. Large enough that sorting by length leaves little padding,
# small enough that memory stays flat and rows appear while it runs.
_WINDOW_RESIDUES = 2_000_000
_WINDOW_RECORDS = 10_000


class Predictor:
    """Scores records with one model.

    Parameters
    ----------
    bundle : Bundle
        Its model is used on `device`, and left there in the mode it had.
    threshold : float or str, optional
        Instead of the channel's own; see `parse_rule`. ``fdr=X`` is a rule about the whole input, at the prevalence
        that is given or else estimated.
    device : torch.device, optional
        The CPU by default.
    max_residues : int
        Most padded residues in a batch.
    precision : str
        ``float32``, or ``bf16``: a third faster on processors that compute in bfloat16, slower on others.
    cpu_fallback : bool
        Score on the CPU a protein that is too long for the memory of the device.
    prevalence : float or 'auto', optional
        Share of positives to expect among the records; probabilities and the rules for the threshold are then those for
        this share, instead of the one that the model was calibrated at. ``auto`` estimates it from the records.
    evidence : {'network', 'profile', 'homology', 'combined'}, optional
        The channel of evidence that calls; see `choose_channel` for the default.

    Attributes
    ----------
    channel : {'network', 'profile', 'homology', 'combined'}
    threshold : float or None
        That of the channel, or the one that was asked for; None before an input is read where it depends on that.
    prevalence : float or None
        The one that was asked for; as estimated, once an input is read.
    waits : bool
        Whether no row can be decided before the last record is scored (``fdr=X``, ``auto``).
    columns : tuple of str
        The fields of `Prediction` that this model and channel fill, in the order of the output.

    Raises
    ------
    ConfigError
        A threshold or prevalence that `DecisionRule.choose` refuses, or a channel that the model does not have.

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
        prevalence: float | Literal["auto"] | None = None,
        evidence: Channel | None = None,
    ) -> None:
        self.bundle = bundle
        self.binary = len(bundle.classes) == 2
        self.channel: Channel = choose_channel(bundle, evidence)
        self.asked = threshold, prevalence
        self.waits = depends_on_input(threshold, prevalence)
        # Invalid options are refused before any record is read.
        self._rule = decision_rule_of(bundle, self.channel).choose(threshold, prevalence, np.zeros(0))
        self.threshold = None if self.waits else self._rule.threshold
        self.prevalence = None if prevalence == "auto" else prevalence
        self.columns = columns_of(bundle, self.channel)
        self.max_residues = max_residues
        self.precision: Precision = precision
        self.cpu_fallback = cpu_fallback
        bundle.model.to(device or torch.device("cpu"))

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT,
        *,
        threshold: float | str | None = None,
        prevalence: float | Literal["auto"] | None = None,
        evidence: Channel | None = None,
    ) -> "Predictor":
        """Load a model by folder or shipped name; see `find_bundle` and `load_bundle` for errors."""
        bundle = load_bundle(find_bundle(str(model)))
        return cls(bundle, threshold=threshold, prevalence=prevalence, evidence=evidence)

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
        return self.settled(self.scored(records))

    def settled(self, rows: Iterable[Prediction]) -> Iterator[Prediction]:
        """Decide the rows of `predict_window` where they wait for the last one; else pass them on."""
        if not self.waits:
            return iter(rows)

        def decide(probability_N: FloatArray) -> DecisionRule:
            self._rule = decision_rule_of(self.bundle, self.channel).choose(*self.asked, probability_N)
            self.threshold, self.prevalence = self._rule.threshold, self._rule.moved_to
            return self._rule

        return decided(rows, decide, self.bundle.classes)

    def is_positive(self, row: Prediction) -> bool:
        """Return whether a row is predicted positive; a model of several classes has no negative one."""
        return row.status == "ok" and (not self.binary or row.label == self.bundle.classes[1])

    def scored(self, records: Iterable[Record]) -> Iterator[Prediction]:
        """Score records, for `settled`; see `predict`."""
        seen = SeenIds()
        for window in windows(records):
            yield from self.predict_window(window, seen.add([record.id for record in window]))

    def predict_window(self, window: list[Record], repeated: list[bool]) -> Iterator[Prediction]:
        """Score records at once; see `predict`, and `settled` for what must follow.

        Parameters
        ----------
        repeated : list of bool
            Which of them have an id that an earlier record of the input had.
        """
        cleaned = [self._cleaned(record) for record in window]
        while True:
            places, distinct = _distinct(cleaned)
            try:
                answers = self._ask(distinct)
                break
            except MemoryLimitError as error:
                # The longest are scored first, so the network has done little; what was searched is searched again.
                cleaned = _without_long(cleaned, error.facts["residues"])
        # Where all records decide, a row holds the calibrated probability and what a predicted positive shows.
        shown_NC = answers.probability_NC if self.waits else self._rule.shown(answers.probability_NC)
        predicted_N = np.ones(len(distinct), int) if self.waits else self._rule.predict(shown_NC)
        column_N = 1 if self.binary else predicted_N
        shown_N = shown_NC[np.arange(len(distinct)), column_N].tolist()
        for record, sequence, again, place in zip(window, cleaned, repeated, places, strict=True):
            named = (*(("duplicate_id",) if again else ()), *(() if record.id else ("no_id",)))
            notes = (*named, *record.notes, *sequence.notes)
            if place is None:
                said = ";".join((*notes, sequence.problem))
                given = len(record.sequence) + record.left_out
                yield Prediction(record.id, given, "", None, self.threshold, "skipped", said)
            else:
                said = ";".join(notes)
                yield self._row(record, sequence, said, answers, place, int(predicted_N[place]), shown_N[place])

    def _cleaned(self, record: Record) -> CleanSequence:
        cleaned = clean(record.sequence, self.bundle.alphabet)
        return cleaned._replace(problem=record.problem) if record.problem else cleaned

    def _ask(self, tokens: list[TokenArray]) -> Answers:
        return answer(
            self.bundle,
            tokens,
            self.channel,
            max_residues=self.max_residues,
            precision=self.precision,
            cpu_fallback=self.cpu_fallback,
        )

    def _row(
        self,
        record: Record,
        sequence: CleanSequence,
        notes: str,
        answers: Answers,
        place: int,
        predicted: int,
        probability: float,
    ) -> Prediction:
        return Prediction(
            record.id,
            len(sequence.tokens),
            self.bundle.classes[predicted],
            probability,
            self.threshold,
            "ok",
            notes,
            # A model of several classes has no negative one.
            **details(self.bundle, answers, place, record.sequence, predicted == 1 or not self.binary),
        )


def _distinct(cleaned: list[CleanSequence]) -> tuple[list[int | None], list[TokenArray]]:
    """Give what is to be scored, and the place of each sequence in it; None for one that cannot be used.

    Genomes and metagenomes repeat themselves; what is the same is scored once.
    """
    place_of: dict[bytes, int] = {}
    distinct: list[TokenArray] = []
    places: list[int | None] = []
    for sequence in cleaned:
        place = None if sequence.problem else place_of.setdefault(sequence.tokens.tobytes(), len(distinct))
        if place == len(distinct):
            distinct.append(sequence.tokens)
        places.append(place)
    return places, distinct


def _without_long(cleaned: list[CleanSequence], residues: int) -> list[CleanSequence]:
    """Give up the sequences of so many residues or more."""
    return [
        sequence._replace(problem="too_long_for_memory") if len(sequence.tokens) >= residues else sequence
        for sequence in cleaned
    ]


def windows(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Cut records into lists that are scored at once: as many as fit a fixed number of residues."""
    window: list[Record] = []
    residues = 0
    for record in records:
        window.append(record)
        # A header may be longer than its sequence, and is held as well.
        residues += max(len(record.sequence), len(record.description))
        if residues >= _WINDOW_RESIDUES or len(window) >= _WINDOW_RECORDS:
            yield window
            window, residues = [], 0
    if window:
        yield window
