"""Records in, one row per record out, in order, in constant memory."""

import json
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from tfclass.bundle.bundle import DEFAULT, Bundle, find_bundle, load_bundle
from tfclass.bundle.scorer import Scorer
from tfclass.channels.thresholds import depends_on_input
from tfclass.errors import MemoryLimitError
from tfclass.inference.rows import Prediction, with_details
from tfclass.models.forward import MAX_RESIDUES, Precision
from tfclass.sequences.alphabet import CleanSequence, clean
from tfclass.sequences.fasta import Record
from tfclass.typing import TokenArray

if TYPE_CHECKING:
    from tfclass.interpretation.explanation import Explanation

# Residues and records read before a window is scored. Large enough that sorting by length leaves little padding,
# small enough that memory stays flat and rows appear while it runs.
_WINDOW_RESIDUES = 2_000_000
_WINDOW_RECORDS = 10_000
# Digests in a run of `SeenIds` that grows no more: merging takes as much memory again for a moment.
_LARGEST_RUN = 1 << 20


class Predictor:
    """Predict the class of records with one model.

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
    channel : str, optional
        ``network``, another channel of the bundle, or ``combined``; see `Scorer`.

    Attributes
    ----------
    channel : str
        The one that is used.
    threshold : float or None
        That of the channel, or the one that was asked for; None before an input is read where it depends on that.
    prevalence : float or None
        The one that was asked for; as estimated, once an input is read.
    waits : bool
        Whether no row can be decided before the last record is scored (``fdr=X``, ``auto``).
    columns : dict of str to Column
        The columns of a row, in the order of the output.

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
        channel: str | None = None,
    ) -> None:
        self.bundle = bundle
        self.binary = len(bundle.classes) == 2
        self.scorer = Scorer(bundle, channel, max_residues=max_residues, precision=precision, cpu_fallback=cpu_fallback)
        self.channel, self.cpu_fallback = self.scorer.channel, cpu_fallback
        self.precision: Precision = precision
        self.columns = with_details(self.scorer.columns)
        self.asked = threshold, prevalence
        self.waits = depends_on_input(threshold, prevalence)
        # Invalid options are refused before any record is read.
        self._rule = self.scorer.decision_rule.choose(threshold, prevalence, np.zeros(0))
        self.threshold = None if self.waits else self._rule.threshold
        self.prevalence = None if prevalence == "auto" else prevalence
        bundle.model.to(device or torch.device("cpu"))

    @classmethod
    def load(cls, model: str | Path = DEFAULT, **options: Any) -> "Predictor":  # noqa: ANN401
        """Load a model by folder or shipped name; options as of `Predictor`, errors of `find_bundle`, `load_bundle`."""
        return cls(load_bundle(find_bundle(str(model))), **options)

    def predict(self, records: Iterable[Record]) -> Iterator[Prediction]:
        """Predict records, any number of any length: one row per record, in the same order."""
        return self.settled(self.scored(records))

    def explain(
        self, records: Iterable[Record], methods: Sequence[str] = ("integrated_gradients",)
    ) -> "Iterator[tuple[Prediction, Explanation | None]]":
        """Predict and explain records; see `tfclass.inference.explanations.explanations`."""
        from tfclass.inference.explanations import explanations

        return explanations(self, records, methods)

    def is_positive(self, row: Prediction) -> bool:
        """Return whether a row is predicted positive; a model of several classes has no negative one."""
        return row.status == "ok" and (not self.binary or row.label == self.bundle.classes[1])

    def scored(self, records: Iterable[Record]) -> Iterator[Prediction]:
        """Score records, for `settled`; see `predict`."""
        seen = SeenIds()
        for window in windows(records):
            yield from self.predict_window(window, seen.add([record.id for record in window]))

    def settled(self, rows: Iterable[Prediction]) -> Iterator[Prediction]:
        """Decide the rows of `predict_window` where they wait for the last one; else pass them on.

        Rows that wait hold calibrated probabilities and what a predicted positive shows. They wait in a temporary file;
        memory holds eight bytes for each.
        """
        if not self.waits:
            yield from rows
            return
        probabilities = array("d")
        with tempfile.TemporaryFile("w+", encoding="ascii") as waiting:
            for row in rows:
                if row.probability is not None:
                    probabilities.append(row.probability)
                # JSON keeps every float, and ids that are no UTF-8.
                waiting.write(json.dumps(row) + "\n")
            probability_N = np.frombuffer(probabilities)
            self._rule = self.scorer.decision_rule.choose(*self.asked, probability_N)
            self.threshold, self.prevalence = self._rule.threshold, self._rule.moved_to
            shown_NC = self._rule.shown(np.stack([1 - probability_N, probability_N], axis=1))
            decided = zip(shown_NC[:, 1].tolist(), self._rule.predict(shown_NC).tolist(), strict=True)
            hidden = dict.fromkeys(name for name, column in self.columns.items() if column.of_positives)
            waiting.seek(0)
            for line in waiting:
                row = Prediction(*json.loads(line))._replace(threshold=self.threshold)
                if row.probability is not None:
                    probability, predicted = next(decided)
                    details = row.details if predicted else {**row.details, **hidden}
                    label = self.bundle.classes[predicted]
                    row = row._replace(label=label, probability=probability, details=details)
                yield row

    def predict_window(self, window: list[Record], repeated: list[bool]) -> Iterator[Prediction]:
        """Score records at once; see `predict`, and `settled` for what must follow.

        Parameters
        ----------
        repeated : list of bool
            Which of them have an id that an earlier record of the input had.
        """
        cleaned = [clean(record.sequence, self.bundle.alphabet) for record in window]
        pairs = zip(window, cleaned, strict=True)
        cleaned = [each._replace(problem=record.problem) if record.problem else each for record, each in pairs]
        while True:
            places, distinct = _distinct(cleaned)
            try:
                scored = self.scorer.score(distinct)
                break
            except MemoryLimitError as error:
                # The longest are scored first, so the network has done little; what was searched is searched again.
                cleaned = _without_long(cleaned, error.residues)
        # Where the whole input decides, the probabilities stay as calibrated, and all may be positive.
        shown_NC = scored.probability_NC if self.waits else self._rule.shown(scored.probability_NC)
        predicted_N = np.ones(len(distinct), np.int64) if self.waits else self._rule.predict(shown_NC)
        shown_N = shown_NC[np.arange(len(distinct)), 1 if self.binary else predicted_N].tolist()
        empty = dict.fromkeys(self.scorer.columns)
        for record, sequence, again, place in zip(window, cleaned, repeated, places, strict=True):
            named = (*(("duplicate_id",) if again else ()), *(() if record.id else ("no_id",)))
            notes = (*named, *record.notes, *sequence.notes)
            if place is None:
                said = ";".join((*notes, sequence.problem))
                given = len(record.sequence) + record.left_out
                yield Prediction(record.id, given, "", None, self.threshold, "skipped", said, empty)
            else:
                label, said = self.bundle.classes[predicted_N[place]], ";".join(notes)
                # A model of several classes has no negative one.
                positive = not self.binary or predicted_N[place] == 1
                details = self.scorer.cells(scored, place, record.sequence, positive=positive)
                length = len(sequence.tokens)
                yield Prediction(record.id, length, label, shown_N[place], self.threshold, "ok", said, details)


class SeenIds:
    """Remember ids by a 64-bit digest.

    Two different ids are taken for one with a chance of about :math:`n^2 / 2^{65}`: three in a million among ten
    million. A set of the ids themselves would hold some twelve times the memory.
    """

    def __init__(self) -> None:
        # Sorted runs, each full or at least twice as long as the next, so that few have to be searched.
        self._runs: list[npt.NDArray[np.uint64]] = []

    def add(self, ids: Sequence[str]) -> list[bool]:
        """Remember ids, and return which of them were there already, or earlier in `ids`."""
        digests = b"".join(blake2b(i.encode("utf-8", "surrogatepass"), digest_size=8).digest() for i in ids)
        keys = np.frombuffer(digests, dtype=np.uint64)
        unique, first = np.unique(keys, return_index=True)
        repeated = np.ones(len(keys), dtype=bool)
        repeated[first] = False
        for run in self._runs:
            place = np.searchsorted(run, keys).clip(max=len(run) - 1)
            repeated |= run[place] == keys
        new = unique[~repeated[first]]
        if len(new):
            self._runs.append(new)
        while len(self._runs) > 1 and len(self._runs[-2]) < min(2 * len(self._runs[-1]), _LARGEST_RUN):
            merged = np.concatenate(self._runs[-2:])
            merged.sort()
            self._runs[-2:] = [merged]
        return repeated.tolist()


def _distinct(cleaned: list[CleanSequence]) -> tuple[list[int | None], list[TokenArray]]:
    """Return the distinct sequences, and the place of each record's among them; None for one that cannot be used.

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
    """Skip the sequences of `residues` or more."""
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
