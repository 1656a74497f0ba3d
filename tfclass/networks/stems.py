"""Stems: what finds short motifs, and shortens a sequence, before the encoder reads it.

References
----------
.. [1] G. Kim et al., "DeepTFactor: a deep learning-based tool for the prediction of transcription factors", PNAS 118
   (2021), 10.1073/pnas.2021171118.
.. [2] L. Ledesma-Dominguez et al., "DeepReg: a deep learning hybrid model for predicting transcription factors in
   eukaryotic and prokaryotic genomes", Scientific Reports 14 (2024), 10.1038/s41598-024-59487-5.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfclass.networks.encoders import length_mask


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
    stem : ConvolutionStem
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


class StackStem(nn.Module):
    """Parallel stacks of convolutions, merged by a 1x1 convolution, then max-pooled: the front of the field's networks.

    DeepTFactor [1]_ has three stacks and takes the maximum of what they give; DeepReg [2]_ has four, pools by 2 and
    goes on with a BiLSTM. Both pad to a fixed length there; here a convolution sees zeros beyond an end, so any length
    will do.

    Parameters
    ----------
    in_features : int
        E.
    stacks : sequence of sequences of int
        Kernel widths, by stack and layer.
    channels : int
        Filters of every layer; the merge has this many for each stack.
    pool : int
        Residues per step handed to the encoder.
    dropout : float
        After every layer of a stack.
    """

    def __init__(
        self, in_features: int, stacks: Sequence[Sequence[int]], channels: int, pool: int, dropout: float
    ) -> None:
        super().__init__()
        layers = [
            [
                ConvolutionLayer(channels if depth else in_features, channels, kernel, dropout)
                for depth, kernel in enumerate(stack)
            ]
            for stack in stacks
        ]
        self.stacks: list[list[ConvolutionLayer]] = layers
        self.layers = nn.ModuleList(layer for stack in layers for layer in stack)
        self.out_features = channels * len(stacks)
        self.merge = ConvolutionLayer(self.out_features, self.out_features, 1, 0.0)
        self.pool = pool

    def forward(self, x_BLE: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Detect motifs and shorten; see `ConvolutionStem.forward` for shapes."""
        mask_BL = length_mask(lengths_B, x_BLE.shape[1])
        found = []
        for stack in self.stacks:
            found_BFL = x_BLE.transpose(1, 2)
            for layer in stack:
                found_BFL = layer(found_BFL, mask_BL)
            found.append(found_BFL)
        return max_pooled(self.merge(torch.cat(found, dim=1), mask_BL), lengths_B, self.pool)


class ConvolutionLayer(nn.Module):
    """Convolution, batch normalisation over real positions only, ReLU, dropout; the length stays.

    Parameters
    ----------
    in_features, channels : int
    kernel : int
        Any width; of an even one the longer half lies ahead.
    dropout : float
    """

    def __init__(self, in_features: int, channels: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.margins = ((kernel - 1) // 2, kernel // 2)
        self.convolution = nn.Conv1d(in_features, channels, kernel)
        self.norm = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BFL: Tensor, mask_BL: Tensor) -> Tensor:
        """Apply the layer; zero on padding, as the next convolution sees past a sequence's end."""
        # As a plane of one row whose channels lie side by side in memory: nothing is then transposed.
        plane_BF1L = F.pad(x_BFL, self.margins)[:, :, None].contiguous(memory_format=torch.channels_last)
        weight_CF1K, bias_C = self.convolution.weight[:, :, None], self.convolution.bias
        found_BLF = F.conv2d(plane_BF1L, weight_CF1K, bias_C)[:, :, 0].transpose(1, 2)
        out_BLF = torch.zeros_like(found_BLF)
        # Padding would count in the mean and variance, more of it in a batch of unlike lengths.
        out_BLF[mask_BL] = self.dropout(F.relu(self._normalised(found_BLF[mask_BL])))
        return out_BLF.transpose(1, 2)

    def _normalised(self, found_NF: Tensor) -> Tensor:
        if len(found_NF) > 1 or not self.training:
            return self.norm(found_NF)
        # A batch of one residue has no variance of its own.
        norm = self.norm
        return F.batch_norm(found_NF, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


def max_pooled(found_BFL: Tensor, lengths_B: Tensor, pool: int) -> tuple[Tensor, Tensor]:
    """Max-pool rectified filters, zero on padding.

    Parameters
    ----------
    found_BFL : float tensor, shape (B, F, L)
        None negative, so that padding never wins a window.
    lengths_B : int64 tensor, shape (B,)
    pool : int

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
