"""Proteins in, one row for each out, in order, in constant memory."""

import json
import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import torch

from tfclass.bundle.bundle import DEFAULT, Bundle, load_bundle
from tfclass.bundle.scorer import Scored, Scorer
from tfclass.channels.thresholds import depends_on_input
from tfclass.environment import prepare_torch
from tfclass.errors import ConfigError, MemoryLimitError
from tfclass.inference.rows import DESCRIPTION, Prediction, with_details
from tfclass.inference.windows import OnWindow, SeenIds, distinct_sequences, windows, without_long
from tfclass.models.forward import MAX_RESIDUES, Precision
from tfclass.sequences.alphabet import CleanSequence, clean
from tfclass.sequences.fasta import MAX_LENGTH, Record
from tfclass.typing import FloatArray

if TYPE_CHECKING:
    import pandas as pd

    from tfclass.interpretation.explanation import Explanation

# Whatever `tfclass.inference.inputs.as_records` takes.
Proteins: TypeAlias = Any


class Predictor:
    """Predict the class of proteins with one model.

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
        ``float32``, or ``bf16``: up to a third faster on processors that compute in bfloat16, slower on others.
    cpu_fallback : bool
        Score on the CPU a protein that is too long for the memory of the device.
    prevalence : float or 'auto', optional
        Share of positives to expect among the records; probabilities and the rules for the threshold are then those for
        this share, instead of the one that the model was calibrated at. ``auto`` estimates it from the records.
    channel : str, optional
        ``network``, another channel of the bundle, or ``combined``; see `Scorer`.
    description : bool
        Add a column with the rest of the header.
    max_length : int
        Most characters of a sequence; a longer one is skipped with a note.

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
    on_progress : callable or None
        See `OnWindow`; for a progress bar.

    Raises
    ------
    ConfigError
        An option is not allowed, or the model does not have the channel; see also `DecisionRule.choose`.

    Examples
    --------
    >>> predictor = Predictor.load()
    >>> [row.status for row in predictor.predict({"a": "MKV*", "b": ""})]
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
        description: bool = False,
        max_length: int = MAX_LENGTH,
    ) -> None:
        if precision not in get_args(Precision):
            raise ConfigError(f"precision: found {precision!r}; expected {' or '.join(get_args(Precision))}")
        if max_length < 1:
            raise ConfigError(f"max_length: found {max_length}; expected 1 or more")
        self.bundle, self.max_length = bundle, max_length
        self.binary = len(bundle.classes) == 2
        self.scorer = Scorer(bundle, channel, max_residues=max_residues, precision=precision, cpu_fallback=cpu_fallback)
        self.channel, self.cpu_fallback = self.scorer.channel, cpu_fallback
        self.precision: Precision = precision
        self.description = description
        self.columns = with_details(self.scorer.columns | (DESCRIPTION if description else {}))
        self.asked = threshold, prevalence
        self.waits = depends_on_input(threshold, prevalence)
        # Invalid options are refused before any record is read.
        self._rule = self.scorer.decision_rule.choose(threshold, prevalence, np.zeros(0))
        self.threshold = None if self.waits else self._rule.threshold
        self.prevalence = None if prevalence == "auto" else prevalence
        self.on_progress: OnWindow = None
        bundle.model.to(device or torch.device("cpu"))

    @classmethod
    def load(
        cls,
        model: "str | os.PathLike[str]" = DEFAULT,
        *,
        device: str = "auto",
        threads: int = 0,
        **options: Any,  # noqa: ANN401
    ) -> "Predictor":
        """Load a model, with the options of ``tfclass predict``; errors of `locate_model`, `load_bundle`, `Predictor`.

        Parameters
        ----------
        model : str or PathLike
            A name or an address, see `tfclass.locate_model`; or the path of a folder.
        device, threads
            See `tfclass.environment.prepare_torch`.
        **options
            Of `Predictor`.
        """
        from tfclass import locate_model

        chosen = prepare_torch(device, threads)
        folder = locate_model(model) if isinstance(model, str) else Path(model)
        return cls(load_bundle(folder), device=chosen, **options)

    def __repr__(self) -> str:
        return f"Predictor({', '.join(f'{name}={value!r}' for name, value in self._facts().items())})"

    def _repr_html_(self) -> str:
        from html import escape

        rows = (f"<tr><th>{name}</th><td>{escape(str(value))}</td></tr>" for name, value in self._facts().items())
        return f"<table>{''.join(rows)}</table>"

    def _facts(self) -> dict[str, object]:
        # What depends on the input is shown as asked for, until it is known.
        asked = dict(zip(("threshold", "prevalence"), self.asked, strict=True))
        facts = {"model": self.bundle.name, "channel": self.channel}
        facts |= {name: value if getattr(self, name) is None else getattr(self, name) for name, value in asked.items()}
        return {name: value for name, value in facts.items() if value is not None}

    def predict(self, proteins: Proteins) -> Iterator[Prediction]:
        """Predict proteins in whatever `as_records` takes, any number of any length: one row for each, in order."""
        from tfclass.inference.inputs import as_records

        return self.settled(self.scored(as_records(proteins, self.max_length)))

    def predict_frame(self, proteins: Proteins) -> "pd.DataFrame":
        """Predict proteins as `predict`; return the rows as a DataFrame.

        Columns, values and types are those that pandas reads from a Parquet file of ``tfclass predict``. The index is
        that of the Series or DataFrame that was given; else it counts from 0.
        """
        from tfclass.inference.frames import frame_of

        return frame_of(self, proteins)

    def predict_proba(self, proteins: Proteins) -> FloatArray:
        """Return the probability of each class for proteins in whatever `as_records` takes.

        Returns
        -------
        ndarray of float64, shape (N, C)
            As shown by `predict`; columns as ``bundle.classes``, the positive one last; NaN for what is skipped.
        """
        from tfclass.inference.inputs import as_records

        classes = len(self.bundle.classes)
        parts = [np.zeros((0, classes))]
        for window in windows(as_records(proteins, self.max_length)):
            _, places, scored = self._score(window)
            # A place of -1 is the last row.
            known = np.concatenate([scored.probability_NC, np.full((1, classes), np.nan)])
            parts.append(known[[-1 if place is None else place for place in places]])
        probability_NC = np.concatenate(parts)
        if self.waits:
            self._choose_rule(probability_NC[~np.isnan(probability_NC[:, 1]), 1])
        return self._rule.shown(probability_NC)

    def explain(
        self, proteins: Proteins, methods: Sequence[str] = ("integrated_gradients",)
    ) -> "Iterator[tuple[Prediction, Explanation | None]]":
        """Predict and explain proteins; see `tfclass.inference.explanations.explanations`."""
        from tfclass.inference.explanations import explanations
        from tfclass.inference.inputs import as_records

        return explanations(self, as_records(proteins, self.max_length), methods)

    def is_positive(self, row: Prediction) -> bool:
        """Return whether a row is predicted positive; a model of several classes has no negative one."""
        return row.status == "ok" and (not self.binary or row.label == self.bundle.classes[1])

    def scored(self, records: Iterable[Record]) -> Iterator[Prediction]:
        """Score records, for `settled`; see `predict`."""
        seen = SeenIds()
        for window in windows(records):
            yield from self.predict_window(window, seen.add([record.id for record in window]))

    def settled(self, rows: Iterable[Prediction]) -> Iterator[Prediction]:
        """Decide the rows of `predict_window` where they wait for the last one, in a temporary file; else pass them on.

        Rows that wait hold calibrated probabilities and what a predicted positive shows.
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
            self._choose_rule(probability_N := np.frombuffer(probabilities))
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
        cleaned, places, scored = self._score(window)
        n_distinct = len(scored.probability_NC)
        # Where the whole input decides, the probabilities stay as calibrated, and all may be positive.
        shown_NC = scored.probability_NC if self.waits else self._rule.shown(scored.probability_NC)
        predicted_N = np.ones(n_distinct, np.int64) if self.waits else self._rule.predict(shown_NC)
        shown_N = shown_NC[np.arange(n_distinct), 1 if self.binary else predicted_N].tolist()
        empty = dict.fromkeys(self.scorer.columns)
        for record, sequence, again, place in zip(window, cleaned, repeated, places, strict=True):
            named = (*(("duplicate_id",) if again else ()), *(() if record.id else ("no_id",)))
            notes = (*named, *record.notes, *sequence.notes)
            header = {"description": record.rest_of_header} if self.description else {}
            if place is None:
                said = ";".join((*notes, sequence.problem))
                given = len(record.sequence) + record.left_out
                yield Prediction(record.id, given, "", None, self.threshold, "skipped", said, empty | header)
            else:
                label, said = self.bundle.classes[predicted_N[place]], ";".join(notes)
                # A model of several classes has no negative one.
                positive = not self.binary or predicted_N[place] == 1
                details = self.scorer.cells(scored, place, record.sequence, positive=positive)
                length = len(sequence.tokens)
                yield Prediction(record.id, length, label, shown_N[place], self.threshold, "ok", said, details | header)

    def _score(self, window: list[Record]) -> tuple[list[CleanSequence], list[int | None], Scored]:
        """Clean and score records; return also the place of each among the distinct sequences that are scored."""
        cleaned = [clean(record.sequence, self.bundle.alphabet) for record in window]
        pairs = zip(window, cleaned, strict=True)
        cleaned = [each._replace(problem=record.problem) if record.problem else each for record, each in pairs]
        on_progress = (shown := self.on_progress) and (lambda share: shown(share, len(window)))
        while True:
            places, distinct = distinct_sequences(cleaned)
            try:
                return cleaned, places, self.scorer.score(distinct, on_progress)
            except MemoryLimitError as error:
                # The longest are scored first, so little has been done.
                cleaned = without_long(cleaned, error.residues)

    def _choose_rule(self, probability_N: FloatArray) -> None:
        """Choose the decision rule by the whole input."""
        self._rule = self.scorer.decision_rule.choose(*self.asked, probability_N)
        self.threshold, self.prevalence = self._rule.threshold, self._rule.moved_to
