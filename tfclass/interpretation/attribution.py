r"""Attribution of a network's log-odds to the residues of a protein.

The log-odds of a class are :math:`F(x) = z_c - \log \sum_{k \ne c} e^{z_k}`, where z are the logits before calibration;
with two classes, the difference of their logits. A method compares a protein x with a baseline x' in which no residue
differs from another: all have the mean of the vectors of the 20 amino acids.

References
----------
.. [1] M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", ICML 2017,
   10.48550/arXiv.1703.01365.
.. [2] A. Shrikumar et al., "Not just a black box: learning important features through propagating activation
   differences", 2016, 10.48550/arXiv.1605.01713.
.. [3] M. Zeiler, R. Fergus, "Visualizing and understanding convolutional networks", ECCV 2014,
   10.1007/978-3-319-10590-1_53.
"""

from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tfclass.models.encoders import length_mask
from tfclass.models.forward import MAX_RESIDUES, evaluating, logits_of
from tfclass.models.front import KmerEmbedding
from tfclass.models.network import Classifier
from tfclass.sequences.alphabet import AMINO_ACIDS, Alphabet
from tfclass.typing import FloatArray, TokenArray

# Largest completeness gap of integrated gradients: relative to the difference from the baseline, and in logits.
_RELATIVE_GAP, _SMALL_GAP = 0.009, 0.03
# Nodes of the quadrature on a part of the line, number of parts at the start, and most gradients in all.
_N_NODES, _N_PARTS, _MAX_GRADIENTS = 4, 8, 1000
# Residues of a window of occlusion: about the shortest DNA-binding helix with its turn.
WINDOW = 15


class Attribution(NamedTuple):
    """Contributions of residues to the log-odds of a class.

    Attributes
    ----------
    value_L : ndarray of float64, shape (L,)
        In logits; positive where a residue is evidence for the class.
    difference : float
        Log-odds of the protein less those of the baseline, in logits.
    """

    value_L: FloatArray
    difference: float

    @property
    def gap(self) -> float:
        """The completeness gap, in logits: the sum over residues less the difference from the baseline."""
        return float(self.value_L.sum()) - self.difference


class Explained(NamedTuple):
    """A network on the CPU, and the index of the class whose log-odds are explained."""

    model: Classifier
    alphabet: Alphabet
    positive: int = 1

    def log_odds(self, tokens: list[TokenArray]) -> FloatArray:
        """Compute the log-odds of N proteins, each of shape (length,); float64, shape (N,)."""
        return _log_odds(torch.from_numpy(logits_of(self.model, tokens, MAX_RESIDUES)), self.positive).numpy()

    def log_odds_of_vectors(self, x_BLE: Tensor) -> Tensor:
        """Compute the log-odds from the vectors of the residues of proteins of one length; shape (B,)."""
        model, lengths_B = self.model, torch.full((len(x_BLE),), x_BLE.shape[1])
        x_BSE, steps_B = model.stem(x_BLE, lengths_B)
        states_BSF = model.encoder(x_BSE, steps_B)
        pooled_BF = model.pooling(states_BSF, length_mask(steps_B, states_BSF.shape[1]))
        return _log_odds(model.head(model.hidden(pooled_BF)), self.positive)

    @torch.no_grad()
    def vectors(self, tokens: TokenArray) -> tuple[Tensor, Tensor]:
        """Return the vectors of the residues of a protein, and of its baseline; each of shape (L, E)."""
        x_LE = self.model.embedding(torch.from_numpy(tokens.astype(np.int64))[None])[0]
        amino_acids = [self.alphabet.letters.index(letter) + 1 for letter in AMINO_ACIDS]
        if isinstance(self.model.embedding, KmerEmbedding):
            kmers = torch.tensor(list(product(amino_acids, repeat=self.model.embedding.k)))
            known = self.model.embedding(kmers)[:, 0]
        else:
            known = self.model.embedding(torch.tensor(amino_acids)[:, None])[:, 0]
        return x_LE, known.mean(dim=0).expand_as(x_LE)

    def of_residues(self, value_L: FloatArray) -> FloatArray:
        """Divide the value of every k-mer evenly among its residues; both arrays have the shape (L,)."""
        k = getattr(self.model.embedding, "k", 1)
        if k == 1:
            return value_L
        size_L = np.minimum(k, np.arange(len(value_L), 0, -1))
        return np.convolve(value_L / size_L, np.ones(k))[: len(value_L)]


def integrated_gradients(explained: Explained, tokens: TokenArray) -> Attribution:
    r"""Integrate the gradient along the straight line from the baseline to the protein [1]_.

    .. math:: a_t = (x_t - x'_t) \cdot \int_0^1 \nabla_{x_t} F(x' + \alpha (x - x'))\, d\alpha

    The sum over residues is the change of F on every part of the line as on the whole, so the error of a quadrature on
    each part is known. The parts of the largest errors are halved until the errors sum to at most 0.9 % of the change
    of F, or 0.03 (F has steep steps on this line), or 1,000 gradients are computed.

    Parameters
    ----------
    tokens : ndarray of uint8, shape (L,)
        Of a protein; not empty.
    """
    line = _Line(explained, *explained.vectors(tokens))
    (difference,) = line.changes(np.array([[0.0, 1.0]]))
    most = max(_RELATIVE_GAP * abs(difference), _SMALL_GAP)
    edges = np.linspace(0, 1, _N_PARTS + 1)
    new_P2 = np.column_stack([edges[:-1], edges[1:]])
    parts_P2, value_PL, error_P, n_gradients = np.zeros((0, 2)), np.zeros((0, len(tokens))), np.zeros(0), 0
    while len(new_P2) and n_gradients < _MAX_GRADIENTS:
        found_PL = line.integrals(new_P2)
        found_P = np.abs(found_PL.sum(axis=1) - line.changes(new_P2))
        n_gradients += _N_NODES * len(new_P2)
        parts_P2, value_PL = np.concatenate([parts_P2, new_P2]), np.concatenate([value_PL, found_PL])
        error_P = np.concatenate([error_P, found_P])
        ascending = np.argsort(error_P)
        kept = ascending[np.cumsum(error_P[ascending]) <= most]
        halved = np.setdiff1d(ascending, kept)
        start_P, end_P = parts_P2[halved].T
        middle_P = (start_P + end_P) / 2
        new_P2 = np.column_stack([start_P, middle_P, middle_P, end_P]).reshape(-1, 2)
        if len(new_P2) and n_gradients < _MAX_GRADIENTS:
            parts_P2, value_PL, error_P = parts_P2[kept], value_PL[kept], error_P[kept]
    return Attribution(explained.of_residues(value_PL.sum(axis=0)), float(difference))


def gradient_x_input(explained: Explained, tokens: TokenArray) -> Attribution:
    """Multiply the gradient at the protein by its difference from the baseline [2]_; see `integrated_gradients`."""
    line = _Line(explained, *explained.vectors(tokens))
    (difference,) = line.changes(np.array([[0.0, 1.0]]))
    return Attribution(explained.of_residues(line.products(np.ones(1))[0]), float(difference))


def occlusion(explained: Explained, tokens: TokenArray, width: int = WINDOW) -> Attribution:
    """Replace each window of residues by X; a residue has the mean loss of log-odds over its windows [3]_.

    The difference is that of the protein and one of X alone; the sum over residues need not come near it.

    Parameters
    ----------
    tokens : ndarray of uint8, shape (L,)
        Of a protein; not empty.
    width : int
        Residues of a window.
    """
    length, width = len(tokens), min(width, len(tokens))
    full, none = explained.log_odds([tokens, np.full_like(tokens, explained.alphabet.unknown)])
    starts, total_L, n_windows_L = np.arange(length - width + 1), np.zeros(length), np.zeros(length)
    for some in np.array_split(starts, -(-len(starts) // 256)):
        occluded = [tokens.copy() for _ in some]
        for sequence, start in zip(occluded, some, strict=True):
            sequence[start : start + width] = explained.alphabet.unknown
        for start, found in zip(some, explained.log_odds(occluded), strict=True):
            total_L[start : start + width] += full - found
            n_windows_L[start : start + width] += 1
    return Attribution(total_L / n_windows_L, float(full - none))


METHODS: dict[str, Callable[[Explained, TokenArray], Attribution]] = {
    "integrated_gradients": integrated_gradients,
    "gradient_x_input": gradient_x_input,
    "occlusion": occlusion,
}


class _Line(NamedTuple):
    """The straight line from the vectors of a baseline to those of a protein."""

    explained: Explained
    x_LE: Tensor
    baseline_LE: Tensor

    def changes(self, parts_P2: FloatArray) -> FloatArray:
        """Compute by how much the log-odds change on parts of the line; shape (P,)."""
        with evaluating(self.explained.model), torch.no_grad():
            odds = [self.explained.log_odds_of_vectors(x_BLE) for x_BLE in self._points(parts_P2.ravel())]
        return np.diff(torch.cat(odds).double().numpy().reshape(-1, 2))[:, 0]

    def integrals(self, parts_P2: FloatArray) -> FloatArray:
        """Integrate `products` over parts of the line by Gauss-Legendre quadrature; shape (P, L)."""
        nodes_N, weights_N = np.polynomial.legendre.leggauss(_N_NODES)
        start_P1, width_P1 = parts_P2[:, :1], np.diff(parts_P2)
        found_PNL = self.products((start_P1 + width_P1 * (nodes_N + 1) / 2).ravel()).reshape(
            len(parts_P2), _N_NODES, -1
        )
        return np.einsum("pn,pnl->pl", width_P1 * weights_N / 2, found_PNL)

    def products(self, alpha_N: FloatArray) -> FloatArray:
        """Multiply the gradient at points of the line by the difference of its ends, for each residue; shape (N, L)."""
        found = []
        with evaluating(self.explained.model):
            for x_BLE in self._points(alpha_N):
                odds = self.explained.log_odds_of_vectors(x_BLE.requires_grad_()).sum()
                (gradient_BLE,) = torch.autograd.grad(odds, x_BLE)
                found.append(torch.einsum("ble,le->bl", gradient_BLE.double(), (self.x_LE - self.baseline_LE).double()))
        return torch.cat(found).numpy()

    def _points(self, alpha_N: FloatArray) -> list[Tensor]:
        """Return points of the line in batches, each of shape (B, L, E)."""
        alpha_N11 = torch.from_numpy(alpha_N).to(self.x_LE)[:, None, None]
        size = max(1, MAX_RESIDUES // len(self.x_LE))
        return [torch.lerp(self.baseline_LE, self.x_LE, some_B11) for some_B11 in alpha_N11.split(size)]


def _log_odds(logits_BC: Tensor, positive: int) -> Tensor:
    others_BC = logits_BC[:, [c for c in range(logits_BC.shape[1]) if c != positive]]
    return logits_BC[:, positive] - others_BC.logsumexp(dim=1)
