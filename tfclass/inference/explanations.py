"""Records in, predictions with their explanations out, in order: a protein on each core, few in memory."""

import copy
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from itertools import tee
from multiprocessing.pool import AsyncResult, ThreadPool
from typing import TYPE_CHECKING

import numpy as np
import torch

from tfclass.bundle.scorer import Scorer
from tfclass.channels.calibration import logit
from tfclass.errors import ConfigError
from tfclass.inference.rows import Prediction
from tfclass.interpretation.explanation import Explanation, check, explain
from tfclass.sequences.alphabet import clean, kept_characters
from tfclass.sequences.fasta import Record
from tfclass.typing import TokenArray

if TYPE_CHECKING:
    from tfclass.inference.predictor import Predictor

Explained = tuple[Prediction, Explanation | None]
# Takes the number of a record, counted from 1, and the fraction of it that is done; called from several threads.
OnProgress = Callable[[int, float], None]
# Proteins of each thread that are waited for or in work.
_IN_FLIGHT = 2


def explanations(
    predictor: "Predictor",
    records: Iterable[Record],
    methods: Sequence[str],
    on_progress: OnProgress = lambda number, fraction: None,
) -> Iterator[Explained]:
    """Predict and explain records: one row and one explanation for each; None in the place of one for a skipped record.

    Parameters
    ----------
    predictor : Predictor
        On the CPU.
    methods : sequence of str
        ``integrated_gradients``, ``gradient_x_input``, ``occlusion``, ``mutagenesis``.

    Raises
    ------
    ConfigError
        As `tfclass.interpretation.explanation.check`, or the threshold or the prevalence depends on the whole input.
    """
    check(predictor.scorer, methods)
    if predictor.waits:
        rule, prevalence = predictor.asked
        asked = f"prevalence {prevalence}" if prevalence == "auto" else f"threshold {rule}"
        raise ConfigError(f"{asked}: this needs all proteins before the first is explained; give a number")
    return _in_order(predictor, records, methods, on_progress)


def _in_order(
    predictor: "Predictor", records: Iterable[Record], methods: Sequence[str], on_progress: OnProgress
) -> Iterator[Explained]:
    """Explain a protein on each core: its recurrent steps are too small to be shared well among cores."""
    n_threads = torch.get_num_threads()
    own, stopped = threading.local(), threading.Event()

    def stop_if_asked(*_: object) -> None:
        if stopped.is_set():
            raise CancelledError

    def work(number: int, tokens: TokenArray) -> Explanation:
        if not hasattr(own, "scorer"):
            # Gates are recorded by hooks on the network, which must see one protein alone.
            model = copy.deepcopy(predictor.bundle.model)
            # Everything that an explanation computes passes the encoder; the stem may be read from tables.
            model.encoder.register_forward_pre_hook(stop_if_asked)
            own.scorer = Scorer(replace(predictor.bundle, model=model), predictor.channel)
        return explain(own.scorer, tokens, methods, lambda fraction: on_progress(number, fraction))

    waiting: deque[tuple[Record, Prediction, AsyncResult[Explanation] | None]] = deque()
    first, second = tee(records)
    pool = ThreadPool(n_threads, torch.set_num_threads, (1,))
    try:
        for number, (record, row) in enumerate(zip(first, predictor.scored(second), strict=True), start=1):
            found = None
            if row.status == "ok":
                tokens = clean(record.sequence, predictor.bundle.alphabet).tokens
                found = pool.apply_async(work, (number, tokens))
            waiting.append((record, row, found))
            if len(waiting) > _IN_FLIGHT * n_threads:
                yield _finished(predictor, *waiting.popleft())
        while waiting:
            yield _finished(predictor, *waiting.popleft())
    finally:
        # Python aborts where it ends while a thread is inside PyTorch. A batch later none is, whatever is left to do.
        stopped.set()
        pool.terminate()
        pool.join()
        # The number belongs to a thread, but later threads begin with the last one set.
        torch.set_num_threads(n_threads)


def _finished(
    predictor: "Predictor", record: Record, row: Prediction, found: "AsyncResult[Explanation] | None"
) -> Explained:
    """Wait for an explanation, and relate it to the sequence and the prevalence that were given."""
    if found is None:
        return row, None
    explanation = found.get()
    position_L = np.flatnonzero(kept_characters(predictor.bundle.alphabet.codes(record.sequence))) + 1
    contributions = explanation.contributions | prevalence_contribution(predictor)
    return row, explanation._replace(position_L=position_L, contributions=contributions)


def prevalence_contribution(predictor: "Predictor") -> dict[str, float]:
    """Return what another prevalence adds to the log-odds of every protein; empty where none was asked for."""
    if predictor.prevalence is None:
        return {}
    rule = predictor.scorer.decision_rule.at_prevalence(predictor.prevalence)
    return {"prevalence": float(logit(predictor.prevalence) - logit(rule.calibrated_at or predictor.prevalence))}
