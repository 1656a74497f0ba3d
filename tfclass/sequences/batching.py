"""Batches of sequences of like length, bounded by padded residues instead of by count.

Time and memory go with ``B x L``, so that is what a batch may not exceed; sorting by length keeps padding small.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tfclass.sequences.alphabet import PAD
from tfclass.typing import IntArray, TokenArray

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
