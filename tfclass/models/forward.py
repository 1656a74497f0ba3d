"""Logits for any number of sequences: batched by length, restored to their order, the network left as it was found."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import numpy as np
import torch

from tfclass.environment import is_out_of_memory
from tfclass.errors import MemoryLimitError
from tfclass.models.network import Classifier, HeadLogits
from tfclass.sequences.batching import Indices, Tokens, collate, longest_first_batches
from tfclass.typing import Float32Array, FloatArray

Precision = Literal["float32", "bf16"]

# Padded residues in a batch, where nothing else is asked for: from 16,000 to 32,000 it hardly matters; a core is slower
# with fewer or more.
MAX_RESIDUES = 24576

_ACTION = {"cpu": "use a machine with more", "cuda": "use --cpu-fallback or --device cpu"}


class Scores(NamedTuple):
    """What all heads give for many sequences, in the order given.

    Attributes
    ----------
    logits_NC : ndarray of float64, shape (N, C)
    family_NK : ndarray of float64, shape (N, K), or None
        None where the network has no head for families.
    domains : list of (ndarray of float32, shape (length,)) or None
        Logit of each residue lying in a DNA-binding domain; residues of one step share it. None where the network has
        no head for it.
    """

    logits_NC: FloatArray
    family_NK: FloatArray | None
    domains: list[Float32Array] | None


def scores_of(
    model: Classifier,
    tokens: Sequence[Tokens],
    max_residues: int,
    precision: Precision = "float32",
    *,
    cpu_fallback: bool = False,
) -> Scores:
    """Score sequences by all heads in evaluation mode, without gradients.

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
    Scores
        In the order given.

    Raises
    ------
    MemoryLimitError
        A single protein is too long for the memory; its length is the fact ``residues``. A batch that is too large is
        scored in smaller ones.
    """
    n_families = model.family_head.out_features if model.family_head else None
    logits_NC = np.empty((len(tokens), model.head.out_features))
    family_NK = np.empty((len(tokens), n_families)) if n_families else None
    domains = [np.empty(len(t), dtype=np.float32) for t in tokens] if model.domain_head else None

    def keep(rows: Indices, logits: HeadLogits) -> None:
        logits_NC[rows] = logits.logits_BC.double().cpu().numpy()
        if family_NK is not None and logits.family_BK is not None:
            family_NK[rows] = logits.family_BK.double().cpu().numpy()
        if domains is not None and logits.domain_BS is not None:
            domain_BL = logits.domain_BS.float().cpu().numpy().repeat(model.stem.pool, axis=1)
            for row, domain_L in zip(rows, domain_BL, strict=True):
                domains[row][:] = domain_L[: len(domains[row])]

    too_long = _in_batches(model, keep, tokens, max_residues, precision, cpu_fallback)
    if too_long:
        spare, left, rest = copy.deepcopy(model).to("cpu"), np.array(too_long), [tokens[i] for i in too_long]
        _in_batches(spare, lambda rows, logits: keep(left[rows], logits), rest, max_residues, precision, False)
    return Scores(logits_NC, family_NK, domains)


def logits_of(model: Classifier, tokens: Sequence[Tokens], max_residues: int) -> FloatArray:
    """Score sequences as `scores_of` does, for the classes alone."""
    return scores_of(model, tokens, max_residues).logits_NC


def _in_batches(
    model: Classifier,
    keep: Callable[[Indices, HeadLogits], None],
    tokens: Sequence[Tokens],
    max_residues: int,
    precision: Precision,
    cpu_fallback: bool,
) -> list[int]:
    """Hand over what each batch gave, with the indices of its sequences; return those of what is left for the CPU."""
    device = next(model.parameters()).device
    front = model.lookup() if device.type == "cpu" else None

    def score(rows: Indices) -> None:
        try:
            batch = collate([tokens[i] for i in rows]).to(device)
            reduced = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
            with torch.inference_mode(), reduced:
                keep(rows, model.all_heads(batch.tokens_BL, batch.lengths_B, front))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(rows) == 1 and cpu_fallback:
                too_long.append(int(rows[0]))
                return
            if len(rows) == 1:
                found = f"a protein of {len(tokens[rows[0]])} residues, too long for the memory of {device}"
                action = _ACTION[device.type]
                raise MemoryLimitError("scoring", found, action=action, residues=len(tokens[rows[0]])) from None
            too_many.append(rows)

    too_many: list[Indices] = []
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
    return too_long


def _in_single_threads(score: Callable[[Indices], None], batches: list[Indices]) -> None:
    """Score a batch on each core instead of one batch on all cores.

    A recurrent step is too small to be shared well among cores (``benchmarks/recurrence.py``).
    """
    n_threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(n_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            scored = [pool.submit(score, rows) for rows in batches]
            try:
                for batch in scored:
                    batch.result()
            except BaseException:
                # Leaving the block would wait for all of them.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
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
