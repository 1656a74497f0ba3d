"""Stems: what finds short motifs, and shortens a sequence, before the encoder reads it.

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

from tfclass.networks.encoders import length_mask
from tfclass.networks.regularisation import Dropout


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
        self.dropout = Dropout(dropout)

    def forward(self, x_NF: Tensor, places: "Places") -> Tensor:
        """Apply the layer to the real positions of a batch; zeros lie beyond the ends of a sequence."""
        # As an image of one row whose channels lie side by side in memory, and with the strides that say so (a
        # transposition would give it others): nothing is then copied.
        image_BFHW = places.laid_out(x_NF, self.margins)[None, None].permute(0, 3, 1, 2)
        weight_CF1K, bias_C = self.convolution.weight[:, :, None], self.convolution.bias
        found_WC = F.conv2d(image_BFHW, weight_CF1K, bias_C).permute(0, 2, 3, 1).flatten(0, 2)
        return self.dropout(F.relu(self._normalised(places.picked(found_WC))))

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
        """Lay the real positions in a line, with so many zeros before and after it; shape (W + margins, F)."""
        if margins not in self._known:
            self._known[margins] = self._in_line.within(*margins)
        return _Moved.apply(x_NF, self._known[margins], True)

    def picked(self, x_WF: Tensor) -> Tensor:
        """Take the real positions out of a line without margins; shape (N, F)."""
        return _Moved.apply(x_WF, self._in_line, False)


class _Order(NamedTuple):
    """Which of N rows stands at each of M places (any where none does), which places are empty, where each row is."""

    row_M: Tensor
    empty_K: Tensor
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
        return x.index_select(0, order.row_M).index_fill_(0, order.empty_K, 0)
    return x.index_select(0, order.place_N)


def _rounded(width: int) -> int:
    """Round up by at most a sixteenth, to one of sixteen widths between two powers of two."""
    grain = max(1, 1 << (width - 1).bit_length() >> 5)
    return -(-width // grain) * grain


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
