"""Data augmentation: random changes of residues in training.

References
----------
.. [1] S. Henikoff, J. Henikoff, "Amino acid substitution matrices from protein blocks", PNAS 89 (1992),
   10.1073/pnas.89.22.10915.
.. [2] A. Robinson, L. Robinson, "Distribution of glutamine and asparagine residues and their near neighbors in peptides
   and proteins", PNAS 88 (1991), 10.1073/pnas.88.20.8880: how frequent each amino acid is.
"""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tfclass.sequences.alphabet import AMINO_ACIDS, PAD, Alphabet
from tfclass.typing import FloatArray

# By amino acid in the order of AMINO_ACIDS, in per cent.
_FREQUENCY = [7.8, 1.9, 5.4, 6.3, 3.9, 7.4, 2.2, 5.1, 5.7, 9.0, 2.2, 4.5, 5.2, 4.3, 5.1, 7.1, 5.8, 6.4, 1.3, 3.2]


def drop_residues(tokens_BL: Tensor, p: float, alphabet: Alphabet, rng: np.random.Generator) -> Tensor:
    """Replace residues by X at random.

    Parameters
    ----------
    tokens_BL : int64 tensor, shape (B, L)
        Residues, 0 on padding.
    p : float
        Probability for each residue; padding is never touched.

    Returns
    -------
    int64 tensor, shape (B, L)
    """
    if not p:
        return tokens_BL
    return tokens_BL.masked_fill(_draw(tokens_BL, p, rng), alphabet.unknown)


def substitute_residues(tokens_BL: Tensor, p: float, rng: np.random.Generator) -> Tensor:
    """Replace residues at random by another amino acid, as related proteins differ.

    Parameters
    ----------
    tokens_BL : int64 tensor, shape (B, L)
        Residues, 0 on padding.
    p : float
        Probability for each of the 20 amino acids; other tokens are never touched.

    Returns
    -------
    int64 tensor, shape (B, L)
    """
    if not p:
        return tokens_BL
    hit_BL = _draw(tokens_BL, p, rng) & (tokens_BL <= len(AMINO_ACIDS))
    rows, columns = torch.nonzero(hit_BL, as_tuple=True)
    residues_N = tokens_BL[rows, columns].numpy() - 1
    # The first amino acid at which the cumulative probability passes a uniform number is a draw.
    drawn_N = (substitutions()[residues_N].cumsum(axis=1) < rng.random((len(residues_N), 1))).sum(axis=1)
    substituted_BL = tokens_BL.clone()
    substituted_BL[rows, columns] = torch.from_numpy(np.minimum(drawn_N, len(AMINO_ACIDS) - 1) + 1)
    return substituted_BL


def _draw(tokens_BL: Tensor, p: float, rng: np.random.Generator) -> Tensor:
    """Draw residues, each with the same probability; bool, shape (B, L), False on padding."""
    drawn_BL = torch.from_numpy(rng.random(tuple(tokens_BL.shape), dtype=np.float32) < p)
    return drawn_BL & (tokens_BL != PAD)


@functools.cache
def substitutions() -> FloatArray:
    """Return the probability of each amino acid as a substitute of another, from BLOSUM62 [1]_.

    A score of s half-bits means that a pair occurs :math:`2^{s/2}` times as often as its frequencies [2]_ predict.

    Returns
    -------
    ndarray of float64, shape (20, 20)
        Row by the amino acid replaced, in the order of AMINO_ACIDS; rows sum to 1, the diagonal is 0.
    """
    from Bio.Align import substitution_matrices

    # The type stub says list.
    matrix: Any = substitution_matrices.load("BLOSUM62")
    scores = np.array([[matrix[letter][other] for other in AMINO_ACIDS] for letter in AMINO_ACIDS])
    probability = np.array(_FREQUENCY) * 2 ** (scores / 2)
    np.fill_diagonal(probability, 0.0)
    return probability / probability.sum(axis=1, keepdims=True)
