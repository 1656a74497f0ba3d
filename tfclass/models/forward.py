"""Batches of sequences of like length, and the scores of any number of sequences, returned in their order.

Time and memory go with ``B x L``, so that is what a batch may not exceed, instead of a count; sorting by length keeps
padding small. Scoring leaves the network unchanged.
"""

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from tfclass.environment import is_out_of_memory
from tfclass.errors import MemoryLimitError
from tfclass.models.network import Classifier, HeadLogits
from tfclass.sequences.alphabet import PAD
from tfclass.typing import Float32Array, FloatArray, IntArray, OnProgress, TokenArray

# Sequences sorted together in training: enough that a batch's lengths are alike, few enough that batches differ
# between epochs.
_POOL_BATCHES = 64


class Batch(NamedTuple):
    """A padded batch, as networks read it.

    Attributes
    ----------
    tokens_BL : int64 tensor, shape (B, L)
        Padded with 0 on the right.
    lengths_B : int64 tensor, shape (B,)
    """

    tokens_BL: Tensor
    lengths_B: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Copy the batch to a device."""
        return Batch(self.tokens_BL.to(device, non_blocking=True), self.lengths_B.to(device, non_blocking=True))

    def part(self, rows: slice) -> "Batch":
        """Return some of the sequences, without padding that only others need."""
        lengths_B = self.lengths_B[rows]
        return Batch(self.tokens_BL[rows, : int(lengths_B.max())], lengths_B)


def collate(tokens: Sequence[TokenArray]) -> Batch:
    """Pad sequences, none of them empty and each of shape (length,), to a batch."""
    lengths_B = np.array([len(t) for t in tokens])
    tokens_BL = np.full((len(tokens), lengths_B.max()), PAD, dtype=np.int64)
    for row, sequence in zip(tokens_BL, tokens, strict=True):
        row[: len(sequence)] = sequence
    return Batch(torch.from_numpy(tokens_BL), torch.from_numpy(lengths_B))


def longest_first_batches(lengths: Sequence[int] | IntArray, max_residues: int) -> list[IntArray]:
    """Divide all sequences into batches, longest first.

    The first batch needs the most memory, so a lack of memory shows at once.

    Parameters
    ----------
    lengths : sequence of int, shape (N,)
        Residues of each sequence.
    max_residues : int
        Most padded residues (B x L) in a batch; a longer sequence is a batch of its own.

    Returns
    -------
    list of ndarray of int64
        Every index from 0 to N - 1 once.

    Examples
    --------
    >>> [batch.tolist() for batch in longest_first_batches([5, 9, 4], max_residues=10)]
    [[1], [0, 2]]
    """
    lengths = np.asarray(lengths, dtype=np.int64)
    return list(_divide(np.argsort(-lengths, kind="stable"), lengths, max_residues))


def shuffled_batches(lengths: Sequence[int] | IntArray, max_residues: int, rng: np.random.Generator) -> list[IntArray]:
    """Divide all sequences into batches for one epoch, as `longest_first_batches` does, but drawn in random order."""
    lengths = np.asarray(lengths, dtype=np.int64)
    order = rng.permutation(len(lengths))
    pool = max(1, int(_POOL_BATCHES * max_residues / max(1.0, float(lengths.mean())))) if len(lengths) else 1
    batches = []
    for start in range(0, len(order), pool):
        members = order[start : start + pool]
        by_length = members[np.argsort(-lengths[members], kind="stable")]
        batches += list(_divide(by_length, lengths, max_residues))
    return [batches[i] for i in rng.permutation(len(batches))]


def _divide(order: IntArray, lengths: IntArray, max_residues: int) -> Iterator[IntArray]:
    start = 0
    while start < len(order):
        # Sorted longest first, so the first member sets the padded length.
        size = max(1, int(max_residues // max(1, lengths[order[start]])))
        yield order[start : start + size]
        start += size


Precision = Literal["float32", "bf16"]

# Padded residues in a batch by default: from 16,000 to 32,000 it hardly matters; a core is slower
# with fewer or more.
MAX_RESIDUES = 24576

_ADVICE = {"cpu": "use a machine with more", "cuda": "use --cpu-fallback or --device cpu"}


class Scores(NamedTuple):
    """The logits of all heads for N sequences, in the order given; None if the network lacks a head.

    Attributes
    ----------
    logits_NC : ndarray of float64, shape (N, C)
        Classes.
    family_NK : ndarray of float64, shape (N, K), or None
        Families.
    domains : list of (ndarray of float32, shape (length,)) or None
        Logit of each residue lying in a DNA-binding domain; residues of one step share it.
    """

    logits_NC: FloatArray
    family_NK: FloatArray | None
    domains: list[Float32Array] | None


def scores_of(
    model: Classifier,
    tokens: Sequence[TokenArray],
    max_residues: int,
    precision: Precision = "float32",
    *,
    cpu_fallback: bool = False,
    on_progress: OnProgress = None,
) -> Scores:
    """Score sequences by all heads in evaluation mode, without gradients.

    Parameters
    ----------
    model : Classifier
        Used on its device; its mode is restored.
    tokens : sequence of ndarray of uint8, each of shape (length,)
        None empty.
    max_residues : int
        Most padded residues in a batch.
    precision : str
        Of the arithmetic: ``float32``, or ``bf16`` for matrix products in bfloat16.
    cpu_fallback : bool
        Score on the CPU a protein that is too long for the memory of the model's device.
    on_progress : callable, optional
        Takes the share of the residues that are scored, after each batch, in any thread.

    Raises
    ------
    MemoryLimitError
        A single protein is too long for the memory; the error has its length. A batch that is too large is scored in
        smaller ones.
    """
    n_families = model.family_head.out_features if model.family_head else None
    logits_NC = np.empty((len(tokens), model.head.out_features))
    family_NK = np.empty((len(tokens), n_families)) if n_families else None
    domains = [np.empty(len(t), dtype=np.float32) for t in tokens] if model.domain_head else None
    residues, scored = sum(map(len, tokens)), []

    def keep(rows: IntArray, logits: HeadLogits) -> None:
        logits_NC[rows] = logits.logits_BC.double().cpu().numpy()
        if family_NK is not None and logits.family_BK is not None:
            family_NK[rows] = logits.family_BK.double().cpu().numpy()
        if domains is not None and logits.domain_BS is not None:
            domain_BL = logits.domain_BS.float().cpu().numpy().repeat(model.stem.pool, axis=1)
            for row, domain_L in zip(rows, domain_BL, strict=True):
                domains[row][:] = domain_L[: len(domains[row])]
        if on_progress is not None:
            # A list, since threads may not add to one number.
            scored.append(sum(len(tokens[row]) for row in rows))
            on_progress(sum(scored) / residues)

    too_long = _in_batches(model, keep, tokens, max_residues, precision, cpu_fallback)
    if too_long:
        spare, left, rest = copy.deepcopy(model).to("cpu"), np.array(too_long), [tokens[i] for i in too_long]
        _in_batches(spare, lambda rows, logits: keep(left[rows], logits), rest, max_residues, precision, False)
    return Scores(logits_NC, family_NK, domains)


def logits_of(model: Classifier, tokens: Sequence[TokenArray], max_residues: int) -> FloatArray:
    """Return the logits of the classes alone, shape (N, C); see `scores_of`."""
    return scores_of(model, tokens, max_residues).logits_NC


def _in_batches(
    model: Classifier,
    keep: Callable[[IntArray, HeadLogits], None],
    tokens: Sequence[TokenArray],
    max_residues: int,
    precision: Precision,
    cpu_fallback: bool,
) -> list[int]:
    """Pass the logits of each batch to `keep`; return the indices of sequences left for the CPU."""
    device = next(model.parameters()).device
    front = model.lookup() if device.type == "cpu" else None

    def score(rows: IntArray) -> None:
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
                residues = len(tokens[rows[0]])
                raise MemoryLimitError(
                    f"scoring: found a protein of {residues} residues, too long for the memory of {device}; "
                    f"{_ADVICE[device.type]}",
                    residues=residues,
                ) from None
            too_many.append(rows)

    too_many: list[IntArray] = []
    too_long: list[int] = []
    batches = longest_first_batches([len(t) for t in tokens], max_residues)
    with evaluating(model):
        while batches:
            if device.type == "cpu" and len(batches) >= torch.get_num_threads() > 1:
                _in_single_threads(score, batches)
            else:
                for rows in batches:
                    score(rows)
            # Batches that did not fit into memory are tried again in halves.
            batches = [half for rows in too_many for half in np.array_split(rows, 2)]
            too_many.clear()
    return too_long


def _in_single_threads(score: Callable[[IntArray], None], batches: list[IntArray]) -> None:
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
                # Leaving the block would wait for all batches.
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        # The number belongs to a thread, but later threads begin with the last one set.
        torch.set_num_threads(n_threads)


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Put every module into evaluation mode, and back into its own mode at the end."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
