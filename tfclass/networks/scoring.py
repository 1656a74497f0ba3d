"""Logits for any number of sequences: batched by length, restored to their order, the network left as it was found."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from tfclass.corpus.batching import collate, longest_first_batches
from tfclass.errors import MemoryLimitError
from tfclass.networks.classifier import Classifier

Precision = Literal["float32", "bf16"]

# Padded residues in a batch, where nothing else is asked for: from 16,000 to 32,000 it hardly matters; a core is slower
# with fewer or more.
MAX_RESIDUES = 24576

_ACTION = {"cpu": "use a machine with more", "cuda": "use --cpu-fallback or --device cpu"}


def logits_of(
    model: Classifier,
    tokens: Sequence[npt.NDArray[np.uint8]],
    max_residues: int,
    precision: Precision = "float32",
    *,
    cpu_fallback: bool = False,
) -> npt.NDArray[np.float64]:
    """Score sequences in evaluation mode, without gradients.

    Parameters
    ----------
    model : Classifier
        Used on the device it is on; its mode is restored.
    tokens : sequence of ndarray of uint8, each of shape (length,)
        None empty.
    max_residues : int
        Most padded residues in a batch.
    precision : str
        Of the network's arithmetic: ``float32``, or ``bf16`` for matrix products in bfloat16.
    cpu_fallback : bool
        Score on the CPU a protein that is too long for the memory of the model's device.

    Returns
    -------
    ndarray of float64, shape (N, C)
        In the order given.

    Raises
    ------
    MemoryLimitError
        A single protein is too long for the memory. A batch that is too large is scored in smaller ones.
    """
    device = next(model.parameters()).device
    front = model.lookup() if device.type == "cpu" else None
    logits_NC = np.empty((len(tokens), model.head.out_features))

    def score(rows: npt.NDArray[np.int64]) -> None:
        try:
            batch = collate([tokens[i] for i in rows]).to(device)
            reduced = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
            with torch.inference_mode(), reduced:
                logits_NC[rows] = model(batch.tokens_BL, batch.lengths_B, front).double().cpu().numpy()
        except RuntimeError as error:
            if not _out_of_memory(error):
                raise
            if len(rows) == 1 and cpu_fallback:
                too_long.append(int(rows[0]))
                return
            if len(rows) == 1:
                found = f"a protein of {len(tokens[rows[0]])} residues, too long for the memory of {device}"
                raise MemoryLimitError("scoring", found, action=_ACTION[device.type]) from None
            too_many.append(rows)

    too_many: list[npt.NDArray[np.int64]] = []
    too_long: list[int] = []
    batches = longest_first_batches([len(t) for t in tokens], max_residues)
    with evaluating(model):
        while batches:
            if device.type == "cpu" and len(batches) >= torch.get_num_threads() > 1:
                _in_single_threads(score, batches)
            else:
                for rows in batches:
                    score(rows)
            # What did not fit into memory is tried again in halves.
            batches = [half for rows in too_many for half in np.array_split(rows, 2)]
            too_many.clear()
    if too_long:
        spare = copy.deepcopy(model).to("cpu")
        logits_NC[too_long] = logits_of(spare, [tokens[i] for i in too_long], max_residues, precision)
    return logits_NC


def _out_of_memory(error: RuntimeError) -> bool:
    # On the CPU torch has no class of its own for it.
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _in_single_threads(score: Callable[[npt.NDArray[np.int64]], None], batches: list[npt.NDArray[np.int64]]) -> None:
    """Score a batch on each core instead of one batch on all cores.

    A recurrent step is too small to be shared well among cores (``benchmarks/recurrence.py``).
    """
    n_threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for done in [pool.submit(score, rows) for rows in batches]:
                done.result()
    finally:
        # The number is a thread's own, but the last one set is what later threads begin with.
        torch.set_num_threads(n_threads)


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Put every module in evaluation mode, and back into the mode each had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
