"""Stems: detect short motifs and shorten a sequence before the encoder reads it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfclass.models.encoders import length_mask


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
        rows = torch.einsum("ve,few->wvf", vectors_VE, weight_FEW).flatten(0, 1)
        # The row of padding, which is never the maximum of a window.
        self.never = len(rows)
        self.rows = torch.cat([rows, rows.new_full((1, rows.shape[1]), -torch.inf)])
        self.bias_F = stem.convolution.bias.detach()  # type: ignore[union-attr]
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
        # Bias and ReLU keep the maximum of a window, so they are applied once a window.
        largest_BLF = found.view(size, steps, self.pool, -1).amax(dim=2)
        return F.relu(largest_BLF + self.bias_F), shortened(lengths_B, self.pool)


def max_pooled(found_BFL: Tensor, lengths_B: Tensor, pool: int) -> tuple[Tensor, Tensor]:
    """Max-pool filters found_BFL, none negative and zero on padding; see `ConvolutionStem.forward` for the result."""
    if pool == 1:
        return found_BFL.transpose(1, 2), lengths_B
    steps_BFL = F.max_pool1d(found_BFL, pool, ceil_mode=True)
    return steps_BFL.transpose(1, 2), shortened(lengths_B, pool)


def shortened(lengths_B: Tensor, pool: int) -> Tensor:
    """Return ``ceil(length / pool)``: the last, shorter window counts."""
    return torch.div(lengths_B + pool - 1, pool, rounding_mode="floor")
