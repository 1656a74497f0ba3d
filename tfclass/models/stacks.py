"""The stem of the field's networks: stacks of convolutions over the real residues of a batch, side by side in a line.

References
----------
.. [1] G. Kim et al., "DeepTFactor: a deep learning-based tool for the prediction of transcription factors", PNAS 118
   (2021), 10.1073/pnas.2021171118.
.. [2] L. Ledesma-Dominguez et al., "DeepReg: a deep learning hybrid model for predicting transcription factors in
   eukaryotic and prokaryotic genomes", Scientific Reports 14 (2024), 10.1038/s41598-024-59487-5.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfclass.models.regularisation import Dropout
from tfclass.models.stems import max_pooled


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
        self.gap = max(max(layer.margins) for stack in layers for layer in stack)
        self.pool = pool

    def forward(self, x_BLE: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """Detect motifs and shorten; see `ConvolutionStem.forward` for shapes."""
        places = Places(lengths_B, x_BLE.shape[1], self.gap)
        x_NE = places.rows(x_BLE)
        found = []
        for stack in self.stacks:
            found_NF = x_NE
            for layer in stack:
                found_NF = layer(found_NF, places)
            found.append(found_NF)
        merged_BLF = places.padded(self.merge(torch.cat(found, dim=1), places))
        return max_pooled(merged_BLF.transpose(1, 2), lengths_B, self.pool)


class ConvolutionLayer(nn.Module):
    """Convolution, batch normalisation, ReLU, dropout; the length stays.

    Between layers there are only the N real positions of a batch, one row each: padding would count in the mean and
    variance, more of it in a batch of unlike lengths.

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

    def forward(self, x_NF: Tensor, places: "Places") -> Tensor:
        """Apply the layer to the real positions of a batch; zeros lie beyond the ends of a sequence."""
        # As an image of one row whose channels lie side by side in memory, and with the strides that say so (a
        # transposition would give it others): nothing is then copied.
        image_BF1M = places.laid_out(x_NF, self.margins)[None, None].permute(0, 3, 1, 2)
        weight_CF1W, bias_C = self.convolution.weight[:, :, None], self.convolution.bias
        found_MC = F.conv2d(image_BF1M, weight_CF1W, bias_C).permute(0, 2, 3, 1).flatten(0, 2)
        return self.dropout(F.relu(self._normalised(places.picked(found_MC))))

    def _normalised(self, found_NF: Tensor) -> Tensor:
        if len(found_NF) > 1 or not self.training:
            return self.norm(found_NF)
        # A batch of one residue has no variance of its own.
        norm = self.norm
        return F.batch_norm(found_NF, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)


class Places:
    """Where the N real positions of a batch stand: padded, one sequence below the other, or side by side in one line.

    A convolution reads them side by side, `gap` zeros apart, and as many at the end as fill the line to one of few
    widths: oneDNN compiles its kernels anew for every shape that it has not seen of late. Whole rows are copied, by
    number, forth and back: a mask would look up every single one (``benchmarks/stacks.py`` measures both).

    Parameters
    ----------
    lengths_B : int64 tensor, shape (B,)
        With N as their sum.
    longest : int
        L.
    gap : int
        At least what a convolution sees to one side.
    """

    def __init__(self, lengths_B: Tensor, longest: int, gap: int) -> None:
        device, rows = lengths_B.device, int(lengths_B.sum())
        sequence_N = torch.repeat_interleave(torch.arange(len(lengths_B), device=device), lengths_B, output_size=rows)
        row_N = torch.arange(rows, device=device)
        within_N = row_N - (lengths_B.cumsum(0) - lengths_B)[sequence_N]
        self.shape = (len(lengths_B), longest)
        self._in_padded = _Order.onto(sequence_N * longest + within_N, len(lengths_B) * longest)
        self._in_line = _Order.onto(row_N + gap * sequence_N, _rounded(rows + gap * len(lengths_B)))
        self._known: dict[tuple[int, int], _Order] = {}

    def rows(self, x_BLF: Tensor) -> Tensor:
        """Keep the real positions of a padded batch; shape (N, F)."""
        return _Moved.apply(x_BLF.flatten(0, 1), self._in_padded, False)

    def padded(self, x_NF: Tensor) -> Tensor:
        """Undo `rows`; zero on padding; shape (B, L, F)."""
        return _Moved.apply(x_NF, self._in_padded, True).unflatten(0, self.shape)

    def laid_out(self, x_NF: Tensor, margins: tuple[int, int]) -> Tensor:
        """Lay the real positions in a line, with so many zeros before and after it; shape (M + margins, F)."""
        if margins not in self._known:
            self._known[margins] = self._in_line.within(*margins)
        return _Moved.apply(x_NF, self._known[margins], True)

    def picked(self, x_MF: Tensor) -> Tensor:
        """Take the real positions out of a line without margins; shape (N, F)."""
        return _Moved.apply(x_MF, self._in_line, False)


class _Order(NamedTuple):
    """Which of N rows stands at each of M places (any where none does), which places are empty, where each row is."""

    row_M: Tensor
    empty_Z: Tensor
    place_N: Tensor

    @classmethod
    def onto(cls, place_N: Tensor, size: int) -> "_Order":
        """Make the order that puts rows on so many places."""
        row_M = place_N.new_full((size,), -1)
        row_M[place_N] = torch.arange(len(place_N), device=place_N.device)
        return cls(row_M.clamp(min=0), (row_M < 0).nonzero()[:, 0], place_N)

    def within(self, before: int, after: int) -> "_Order":
        """Put empty places before and after."""
        return _Order.onto(self.place_N + before, before + len(self.row_M) + after)


class _Moved(torch.autograd.Function):
    """Rows to their places, zero where none goes, or from there; the gradient goes the other way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, order: _Order, there: bool) -> Tensor:  # noqa: ANN401 - as torch has it
        ctx.order, ctx.there = order, there
        return _moved(x, order, there)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        return _moved(gradients[0], ctx.order, not ctx.there), None, None


def _moved(x: Tensor, order: _Order, there: bool) -> Tensor:
    if there:
        return x.index_select(0, order.row_M).index_fill_(0, order.empty_Z, 0)
    return x.index_select(0, order.place_N)


def _rounded(width: int) -> int:
    """Round up by at most a sixteenth, to one of sixteen widths between two powers of two."""
    grain = max(1, 1 << (width - 1).bit_length() >> 5)
    return -(-width // grain) * grain
