"""Stems: what finds short motifs, and shortens a sequence, before the encoder reads it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfclass.models.encoders import length_mask


class NoStem(nn.Module):
    """Hand residues on as they are.

    Parameters
    ----------
    in_features : int
        E.
    """

    pool = 1

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.out_features = in_features

    def forward(self, x_BLE: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Return the arguments."""
        return x_BLE, lengths_B


class ConvolutionStem(nn.Module):
    """A convolution that sees short motifs, then max-pooling that cuts the recurrent steps by its width.

    Parameters
    ----------
    in_features : int
        E.
    channels : int
        Filters.
    kernel : int
        Width of a filter in residues; odd, so that it is centred.
    pool : int
        Residues per step handed to the encoder.
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
            Zero on padding, as the convolution sees past a sequence's end.
        lengths_B : int64 tensor, shape (B,)

        Returns
        -------
        steps_BLF : float tensor, shape (B, ceil(L / pool), channels)
        lengths_B : int64 tensor, shape (B,)
            ``ceil(length / pool)``: the last, shorter window counts.
        """
        found_BFL = F.relu(self.convolution(x_BLE.transpose(1, 2)))
        return max_pooled(found_BFL * length_mask(lengths_B, x_BLE.shape[1])[:, None, :], lengths_B, self.pool)


class LookupStem:
    r"""A `ConvolutionStem` over residue embeddings, computed from tables: the same numbers, to rounding, far sooner.

    There are few kinds of residue, so what each adds to each filter at each place of the kernel is multiplied out
    beforehand: :math:`\sum_k W_k e(t_{i+k}) = \sum_k T_k[t_{i+k}]` with :math:`T_k = e W_k^\top`. What was a product
    of matrices is a sum of K rows. It is made from the weights as they are now, without gradients: for scoring, on a
    CPU (``benchmarks/predict.py`` measures it).

    Parameters
    ----------
    vectors_VE : float tensor, shape (V, E)
        The embedding of each token; zero for padding.
    """

    @torch.no_grad()
    def __init__(self, vectors_VE: Tensor, stem: ConvolutionStem) -> None:
        weight_FEW = stem.convolution.weight
        rows = torch.einsum("ve,few->wvf", vectors_VE, weight_FEW).flatten(0, 1)
        # A position on padding looks this row up, so that it never wins a window.
        self.never = len(rows)
        self.rows = torch.cat([rows, rows.new_full((1, rows.shape[1]), -torch.inf)])
        self.bias_F = stem.convolution.bias.detach()  # type: ignore[union-attr]
        self.kernel, self.pool = weight_FEW.shape[2], stem.pool
        self.first_rows = len(vectors_VE) * torch.arange(self.kernel, dtype=torch.int32)

    def __call__(self, tokens_BL: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Do what embedding and stem do; see `ConvolutionStem.forward` for what is returned."""
        size, longest = tokens_BL.shape
        steps = -(-longest // self.pool)
        margin = self.kernel // 2
        padded_BL = F.pad(tokens_BL.int(), (margin, steps * self.pool - longest + margin))
        rows_BLW = padded_BL.unfold(1, self.kernel, 1) + self.first_rows
        rows_BLW[..., 0].masked_fill_(~length_mask(lengths_B, steps * self.pool), self.never)
        found = F.embedding_bag(rows_BLW.flatten(0, 1), self.rows, mode="sum")
        # The largest of a window stays the largest under bias and ReLU, which are then due once a window.
        largest_BLF = found.view(size, steps, self.pool, -1).amax(dim=2)
        return F.relu(largest_BLF + self.bias_F), shortened(lengths_B, self.pool)


def max_pooled(found_BFL: Tensor, lengths_B: Tensor, pool: int) -> tuple[Tensor, Tensor]:
    """Max-pool rectified filters, zero on padding.

    Parameters
    ----------
    found_BFL : float tensor, shape (B, F, L)
        None negative, so that padding never wins a window.
    lengths_B : int64 tensor, shape (B,)

    Returns
    -------
    steps_BLF : float tensor, shape (B, ceil(L / pool), F)
    lengths_B : int64 tensor, shape (B,)
        ``ceil(length / pool)``: the last, shorter window counts.
    """
    if pool == 1:
        return found_BFL.transpose(1, 2), lengths_B
    steps_BFL = F.max_pool1d(found_BFL, pool, ceil_mode=True)
    return steps_BFL.transpose(1, 2), shortened(lengths_B, pool)


def shortened(lengths_B: Tensor, pool: int) -> Tensor:
    """Give ``ceil(length / pool)``: the last, shorter window counts."""
    return torch.div(lengths_B + pool - 1, pool, rounding_mode="floor")
