"""The stem of DeepTFactor and DeepReg: parallel stacks of convolutions over the residues of a batch.

References
----------
.. [1] G. Kim et al., "DeepTFactor: a deep learning-based tool for the prediction of transcription factors", PNAS 118
   (2021), 10.1073/pnas.2021171118.
.. [2] L. Ledesma-Dominguez et al., "DeepReg: a deep learning hybrid model for predicting transcription factors in
   eukaryotic and prokaryotic genomes", Scientific Reports 14 (2024), 10.1038/s41598-024-59487-5.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfclass.models.front import max_pooled


class StackStem(nn.Module):
    """Parallel stacks of convolutions, merged by a 1x1 convolution, then max-pooled.

    DeepTFactor [1]_ has three stacks and takes the maximum over the protein; DeepReg [2]_ has four, pools by 2 and
    reads the steps with a BiLSTM. Both pad to a fixed length; here a convolution sees zeros beyond the ends of a
    protein, so any length is allowed.

    Parameters
    ----------
    in_features : int
        E.
    stacks : sequence of sequences of int
        Kernel widths, by stack and layer.
    channels : int
        Filters of every layer; the merge has this many for each stack.
    pool : int
        Residues per step that the encoder reads.
    dropout : float
        Probability, after every layer of a stack.
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
        self.gap = max(max(layer.margins) for stack in layers for layer in stack)
        self.pool = pool

    def forward(self, x_BLE: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Detect motifs and shorten; see `ConvolutionStem.forward` for shapes."""
        line = Line(lengths_B.tolist(), self.gap)
        x_NE = torch.cat([x_LE[:length] for x_LE, length in zip(x_BLE, line.lengths, strict=True)])
        found = []
        for stack in self.stacks:
            found_NF = x_NE
            for layer in stack:
                found_NF = layer(found_NF, line)
            found.append(found_NF)
        merged_NF = self.merge(torch.cat(found, dim=1), line)
        # The gradient of `pad_sequence` copies the whole batch for each of its sequences.
        merged = [
            F.pad(merged_LF, (0, 0, 0, x_BLE.shape[1] - len(merged_LF))) for merged_LF in merged_NF.split(line.lengths)
        ]
        return max_pooled(torch.stack(merged).transpose(1, 2), lengths_B, self.pool)


class Line(NamedTuple):
    """The sequences of a batch side by side, with at least `gap` zeros after each: how a convolution reads them.

    Padding would cost time and count in the mean and variance of batch normalisation, so between layers there are
    only the N residues of the batch, one row each.
    """

    lengths: list[int]
    gap: int

    def join(self, x_NF: Tensor, margins: tuple[int, int]) -> Tensor:
        """Lay the residues in a line, with `margins` zeros before and after it; shape (M + margins, F)."""
        n_places = len(x_NF) + self.gap * len(self.lengths)
        before, after = margins
        zeros_ZF = x_NF.new_zeros(max(self.gap, before, _round_up(n_places) - n_places + after), x_NF.shape[1])
        parts = [part for sequence_LF in x_NF.split(self.lengths) for part in (sequence_LF, zeros_ZF[: self.gap])]
        return torch.cat([zeros_ZF[:before], *parts, zeros_ZF[: _round_up(n_places) - n_places + after]])

    def split(self, x_MF: Tensor) -> Tensor:
        """Return the residues of a line without margins; shape (N, F)."""
        sizes = [size for length in self.lengths for size in (length, self.gap)]
        *parts, _ = x_MF.split([*sizes, len(x_MF) - sum(sizes)])
        return torch.cat(parts[::2])


class ConvolutionLayer(nn.Module):
    """Convolution, batch normalisation, ReLU, dropout; the length stays.

    Parameters
    ----------
    kernel : int
        Any width; of an even one the longer half lies ahead.
    """

    def __init__(self, in_features: int, channels: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.margins = ((kernel - 1) // 2, kernel // 2)
        self.convolution = nn.Conv1d(in_features, channels, kernel)
        self.norm = nn.BatchNorm1d(channels)
        self.dropout = Dropout(dropout)

    def forward(self, x_NF: Tensor, line: Line) -> Tensor:
        """Apply the layer to the residues of a batch; zeros lie beyond the ends of a sequence."""
        # An image of one row whose channels lie side by side in memory, with the strides that say so: torch then copies
        # nothing, as it would with a transposed sequence.
        image_BF1M = line.join(x_NF, self.margins)[None, None].permute(0, 3, 1, 2)
        weight_CF1W, bias_C = self.convolution.weight[:, :, None], self.convolution.bias
        found_MC = F.conv2d(image_BF1M, weight_CF1W, bias_C).permute(0, 2, 3, 1).flatten(0, 2)
        found_NF, norm = line.split(found_MC), self.norm
        if len(found_NF) > 1 or not self.training:
            found_NF = norm(found_NF)
        else:
            # A batch of one residue has no variance.
            mean, variance = norm.running_mean, norm.running_var
            found_NF = F.batch_norm(found_NF, mean, variance, norm.weight, norm.bias, eps=norm.eps)
        return self.dropout(F.relu(found_NF))


class Dropout(nn.Module):
    """``nn.Dropout``, faster for many numbers on a CPU (``benchmarks/stacks.py``).

    There, torch draws 64 random bits for every number, one after the other. This draws 16, from a faster generator
    that is seeded by torch's own; the probability is rounded to 1/65,536.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.dropped = min(round(p * 65536), 65535)

    def forward(self, x: Tensor) -> Tensor:
        """Drop numbers of x, of any shape, in training mode only; the others are scaled up as in ``nn.Dropout``."""
        if not self.training or not self.dropped:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        generator = np.random.Generator(np.random.SFC64(int(torch.randint(2**63 - 1, ()))))
        words = generator.integers(2**64, size=-(-x.numel() // 4), dtype=np.uint64)
        kept = torch.from_numpy(words.view(np.int16))[: x.numel()].view(x.shape).ge_(self.dropped - 32768)
        return x * kept.to(x.dtype).mul_(65536 / (65536 - self.dropped))


def _round_up(width: int) -> int:
    """Return one of sixteen widths between two powers of two: oneDNN compiles a kernel for every new shape."""
    grain = max(1, 1 << (width - 1).bit_length() >> 5)
    return -(-width // grain) * grain
