"""Input layers of an encoder: embeddings, tokens_BL -> x_BLE, and stems, x_BLE, lengths_B -> x_BLE, lengths_B.

An embedding is zero on padding; a stem detects short motifs and shortens a sequence.

References
----------
.. [1] S. Henikoff, J. Henikoff, "Amino acid substitution matrices from protein blocks", PNAS 89 (1992),
   10.1073/pnas.89.22.10915.
.. [2] J. Kyte, R. Doolittle, "A simple method for displaying the hydropathic character of a protein", Journal of
   Molecular Biology 157 (1982), 10.1016/0022-2836(82)90515-0.
.. [3] R. Grantham, "Amino acid difference formula to help explain protein evolution", Science 185 (1974),
   10.1126/science.185.4154.862: polarity and volume.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfclass.models.encoders import length_mask
from tfclass.sequences.alphabet import AMINO_ACIDS, PAD, Alphabet

# By amino acid in the order of AMINO_ACIDS.
_HYDROPATHY = [1.8, 2.5, -3.5, -3.5, 2.8, -0.4, -3.2, 4.5, -3.9, 3.8, 1.9, -3.5, -1.6, -3.5, -4.5, -0.8, -0.7, 4.2]
_HYDROPATHY += [-0.9, -1.3]
_POLARITY = [8.1, 5.5, 13.0, 12.3, 5.2, 9.0, 10.4, 5.2, 11.3, 4.9, 5.7, 11.6, 8.0, 10.5, 10.5, 9.2, 8.6, 5.9, 5.4, 6.2]
_VOLUME = [31.0, 55, 54, 83, 132, 3, 96, 111, 119, 111, 105, 56, 32.5, 85, 124, 32, 61, 84, 170, 136]
_CHARGE = [{"D": -1.0, "E": -1.0, "K": 1.0, "R": 1.0, "H": 0.1}.get(letter, 0.0) for letter in AMINO_ACIDS]
_AROMATIC = [float(letter in "FHWY") for letter in AMINO_ACIDS]

# The residues that an ambiguous or rare letter may stand for.
_RESIDUES_OF = {"B": "DN", "J": "IL", "O": "K", "U": "C", "X": AMINO_ACIDS, "Z": "EQ"}


class KmerEmbedding(nn.Embedding):
    """A learned vector for every overlapping k-mer, of which there are V**k; with k = 1, for every residue.

    The k-mer at a position begins there; at the end of a sequence it is cut short, so a sequence of fewer than k
    residues has k-mers too.
    """

    def __init__(self, alphabet: Alphabet, dim: int, k: int = 1) -> None:
        # Only padding is a k-mer of nothing but padding, which has number 0.
        super().__init__(alphabet.size**k, dim, padding_idx=PAD)
        self.size, self.k = alphabet.size, k

    def forward(self, tokens_BL: Tensor) -> Tensor:  # type: ignore[override]
        """Embed a padded batch."""
        return super().forward(self.kmers(tokens_BL))

    def residue_vectors(self) -> Tensor | None:
        """Return the vector of each token, shape (V, E); None if k > 1."""
        return self.weight if self.k == 1 else None

    def kmers(self, tokens_BL: Tensor) -> Tensor:
        """Return the number of the k-mer that begins at each position; int64, shape (B, L)."""
        length = tokens_BL.shape[1]
        padded_BL = F.pad(tokens_BL, (0, self.k - 1), value=PAD)
        kmers_BL = torch.zeros_like(tokens_BL)
        for place in range(self.k):
            kmers_BL = kmers_BL * self.size + padded_BL[:, place : place + length]
        return kmers_BL


class FixedEmbedding(nn.Module):
    """Known properties of each residue, properties_VP, through a learned linear map; row 0, of padding, is zero."""

    def __init__(self, properties_VP: Tensor, dim: int) -> None:
        super().__init__()
        self.register_buffer("properties_VP", properties_VP)
        # Without a bias, so that padding stays zero.
        self.project = nn.Linear(properties_VP.shape[1], dim, bias=False)

    def forward(self, tokens_BL: Tensor) -> Tensor:
        """Embed a padded batch."""
        return self.project(F.embedding(tokens_BL, self.get_buffer("properties_VP")))

    def residue_vectors(self) -> Tensor:
        """Return the vector of each token, shape (V, E)."""
        return self.project(self.get_buffer("properties_VP"))


def one_hot(alphabet: Alphabet) -> Tensor:
    """Return one dimension for each token; shape (V, V - 1)."""
    return torch.eye(alphabet.size)[:, 1:]


def blosum62(alphabet: Alphabet) -> Tensor:
    """Return the row of BLOSUM62 of each token [1]_, in half-bits divided by 4; shape (V, 20)."""
    from Bio.Align import substitution_matrices

    # The type stub says list.
    matrix: Any = substitution_matrices.load("BLOSUM62")
    rows = np.array([[matrix[letter][other] / 4 for other in AMINO_ACIDS] for letter in AMINO_ACIDS], dtype=np.float32)
    return _for_all_tokens(torch.from_numpy(rows), alphabet)


def physicochemical(alphabet: Alphabet) -> Tensor:
    """Return hydropathy [2]_, polarity and volume [3]_, standardised, charge and aromaticity; shape (V, 5)."""
    measured = torch.tensor([_HYDROPATHY, _POLARITY, _VOLUME]).T
    standardised = (measured - measured.mean(dim=0)) / measured.std(dim=0)
    return _for_all_tokens(torch.cat([standardised, torch.tensor([_CHARGE, _AROMATIC]).T], dim=1), alphabet)


def _for_all_tokens(rows: Tensor, alphabet: Alphabet) -> Tensor:
    """Extend properties of the 20 amino acids to all tokens; an ambiguous letter gets the mean of its residues."""
    table = torch.zeros(alphabet.size, rows.shape[1])
    for token, letter in enumerate(alphabet.letters, start=1):
        members = [AMINO_ACIDS.index(meant) for meant in _RESIDUES_OF.get(letter, letter)]
        table[token] = rows[members].mean(dim=0)
    return table


class NoStem(nn.Module):
    """Pass the E features of the residues to the encoder unchanged."""

    pool = 1

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.out_features = in_features

    def forward(self, x_BLE: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return the arguments."""
        return x_BLE, lengths_B


class ConvolutionStem(nn.Module):
    """A convolution that detects short motifs, then max-pooling that divides the recurrent steps by its width.

    Parameters
    ----------
    kernel : int
        Width of a filter in residues; odd, so that it is centred.
    pool : int
        Residues per step that the encoder reads.
    """

    def __init__(self, in_features: int, channels: int, kernel: int, pool: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(in_features, channels, kernel, padding=kernel // 2)
        self.pool = pool
        self.out_features = channels

    def forward(self, x_BLE: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Detect motifs and shorten.

        Parameters
        ----------
        x_BLE : float tensor, shape (B, L, E)
            Zero on padding, as the convolution reads past the end of a sequence.

        Returns
        -------
        steps_BLF : float tensor, shape (B, ceil(L / pool), channels)
        lengths_B : int64 tensor, shape (B,)
            ``ceil(length / pool)``: the last, shorter window counts.
        """
        found_BFL = F.relu(self.convolution(x_BLE.transpose(1, 2)))
        return max_pooled(found_BFL * length_mask(lengths_B, x_BLE.shape[1])[:, None, :], lengths_B, self.pool)


class LookupStem:
    r"""A `ConvolutionStem` over residue embeddings, computed from tables: equal up to rounding, and much faster.

    There are few tokens, so the contribution of each to each filter at each place of the kernel is computed once:
    :math:`\sum_k W_k e(t_{i+k}) = \sum_k T_k[t_{i+k}]` with :math:`T_k = e W_k^\top`. A product of matrices becomes a
    sum of K rows. It uses the present weights, without gradients: for scoring on a CPU (``benchmarks/predict.py``).

    Parameters
    ----------
    vectors_VE : float tensor, shape (V, E)
        The embedding of each token; zero for padding.
    """

    @torch.no_grad()
    def __init__(self, vectors_VE: Tensor, stem: ConvolutionStem) -> None:
        weight_FEW = stem.convolution.weight
        rows_WVF = torch.einsum("ve,few->wvf", vectors_VE, weight_FEW)
        # Each sum has one row of the first place, so the bias goes there.
        rows_WVF[0] += stem.convolution.bias  # type: ignore[operator]
        rows = rows_WVF.flatten(0, 1)
        # The row of padding, which is never the maximum of a window.
        self.never = len(rows)
        self.rows = torch.cat([rows, rows.new_full((1, rows.shape[1]), -torch.inf)])
        self.kernel, self.pool = weight_FEW.shape[2], stem.pool
        self.first_rows = len(vectors_VE) * torch.arange(self.kernel, dtype=torch.int32)

    def __call__(self, tokens_BL: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Embed and apply the stem; see `ConvolutionStem.forward` for the result."""
        size, longest = tokens_BL.shape
        steps = -(-longest // self.pool)
        margin = self.kernel // 2
        padded_BL = F.pad(tokens_BL.int(), (margin, steps * self.pool - longest + margin))
        rows_BLW = padded_BL.unfold(1, self.kernel, 1) + self.first_rows
        rows_BLW[..., 0].masked_fill_(~length_mask(lengths_B, steps * self.pool), self.never)
        found = F.embedding_bag(rows_BLW.flatten(0, 1), self.rows, mode="sum")
        # ReLU keeps the maximum of a window, so it is applied once a window.
        largest_BLF = found.view(size, steps, self.pool, -1).amax(dim=2)
        return largest_BLF.relu_(), shortened(lengths_B, self.pool)


def max_pooled(found_BFL: Tensor, lengths_B: Tensor, pool: int) -> tuple[Tensor, Tensor]:
    """Max-pool filters found_BFL, none negative and zero on padding; see `ConvolutionStem.forward` for the result."""
    if pool == 1:
        return found_BFL.transpose(1, 2), lengths_B
    steps_BFL = F.max_pool1d(found_BFL, pool, ceil_mode=True)
    return steps_BFL.transpose(1, 2), shortened(lengths_B, pool)


def shortened(lengths_B: Tensor, pool: int) -> Tensor:
    """Return ``ceil(length / pool)``: the last, shorter window counts."""
    return torch.div(lengths_B + pool - 1, pool, rounding_mode="floor")
