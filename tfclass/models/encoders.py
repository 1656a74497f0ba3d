"""Encoders, x_BLE, lengths_B -> states_BLF: LSTM [1]_, in both directions [2]_, GRU [3]_, RNN; and their dropout.

References
----------
.. [1] S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), 10.1162/neco.1997.9.8.1735.
.. [2] A. Graves, J. Schmidhuber, "Framewise phoneme classification with bidirectional LSTM and other neural network
   architectures", Neural Networks 18 (2005), 10.1016/j.neunet.2005.06.042.
.. [3] K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine translation",
   EMNLP 2014, 10.48550/arXiv.1406.1078.
.. [4] Y. Gal, Z. Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", NeurIPS
   2016, 10.48550/arXiv.1512.05287.
.. [5] S. Merity, N. Keskar, R. Socher, "Regularizing and optimizing LSTM language models", ICLR 2018,
   10.48550/arXiv.1708.02182.
.. [6] R. Jozefowicz, W. Zaremba, I. Sutskever, "An empirical exploration of recurrent network architectures", ICML
   2015.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from tfclass.models.lstm import LSTM


def length_mask(lengths_B: Tensor, longest: int) -> Tensor:
    """Mark the residues of a padded batch: True up to the end of a sequence, False on padding; shape (B, L)."""
    return torch.arange(longest, device=lengths_B.device) < lengths_B[:, None]


def reversal_index(lengths_B: Tensor, longest: int) -> Tensor:
    """Return the index that reverses each sequence within its own length and keeps padding in place.

    Returns
    -------
    int64 tensor, shape (B, L)
        Its own inverse.
    """
    position_L = torch.arange(longest, device=lengths_B.device)
    return torch.where(position_L < lengths_B[:, None], lengths_B[:, None] - 1 - position_L, position_L)


def reverse(x_BLF: Tensor, index_BL: Tensor) -> Tensor:
    """Reorder the positions of every sequence by an index from `reversal_index`."""
    size, longest, features = x_BLF.shape
    # Whole rows are copied: a gather would look up every single number.
    rows = index_BL + longest * torch.arange(size, device=index_BL.device)[:, None]
    return x_BLF.reshape(-1, features).index_select(0, rows.flatten()).view(size, longest, features)


class IdentityEncoder(nn.Module):
    """Return the output of the stem: a convolutional network has no recurrence."""

    directions = 1

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.out_features = in_features

    def forward(self, x_BLE: Tensor, lengths_B: Tensor) -> Tensor:
        """Return x_BLE."""
        return x_BLE


class Recurrent(nn.Module):
    """Recurrent layers in one or two directions, any depth, without packing.

    Each direction of a layer is a plain one-direction module over the padded batch. The backward one reads every
    sequence reversed within its own length, so that no state crosses padding on its way to a residue; its states are
    reversed back. With ``nn.LSTM`` the result is that of a packed bidirectional LSTM, and much faster on a CPU, where
    packing does not use the fused kernel (``benchmarks/recurrence.py``).

    Parameters
    ----------
    layer : callable
        (in_features, hidden) -> module that maps x_BLE to (states_BLH, anything), batch first.
    in_features : int
        E.
    hidden : int
        H, per direction.
    layers : int
        Stacked; each reads all directions of the layer below.
    directions : int
        1, forward only, or 2.
    post_layer : callable
        features -> module applied to the output of each layer, such as a normalisation.
    inter_layer : callable
        features -> module applied between two layers, such as dropout.
    residual : bool
        From the second layer on, add the input of a layer to its output.
    """

    def __init__(
        self,
        layer: Callable[[int, int], nn.Module],
        in_features: int,
        hidden: int,
        *,
        layers: int = 1,
        directions: int = 2,
        post_layer: Callable[[int], nn.Module] = nn.Identity,
        inter_layer: Callable[[int], nn.Module] = nn.Identity,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.out_features = directions * hidden
        self.directions = directions
        self.residual = residual
        widths = [in_features] + [self.out_features] * (layers - 1)
        self.forwards = nn.ModuleList(layer(width, hidden) for width in widths)
        self.backwards = nn.ModuleList(layer(width, hidden) for width in widths if directions == 2)
        self.post_layer = nn.ModuleList(post_layer(self.out_features) for _ in range(layers))
        self.inter_layer = nn.ModuleList(inter_layer(self.out_features) for _ in range(layers - 1))

    def forward(self, x_BLE: Tensor, lengths_B: Tensor) -> Tensor:
        """Encode a padded batch.

        Returns
        -------
        float tensor, shape (B, L, directions * H)
            Forward states first. States on padding are finite and have no meaning.
        """
        index_BL = reversal_index(lengths_B, x_BLE.shape[1])
        states_BLF = self._layer(0, x_BLE, index_BL)
        for number, inter_layer in enumerate(self.inter_layer, start=1):
            inputs_BLF = inter_layer(states_BLF)
            states_BLF = self._layer(number, inputs_BLF, index_BL)
            if self.residual:
                states_BLF = states_BLF + inputs_BLF
        return states_BLF

    def _layer(self, number: int, x_BLE: Tensor, index_BL: Tensor) -> Tensor:
        states_BLF, _ = self.forwards[number](x_BLE)
        if self.directions == 2:
            backward_BLH, _ = self.backwards[number](reverse(x_BLE, index_BL))
            states_BLF = torch.cat([states_BLF, reverse(backward_BLH, index_BL)], dim=-1)
        return self.post_layer[number](states_BLF)


class VariationalDropout(nn.Module):
    """Dropout of features, with one mask for all positions of a sequence [4]_."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x_BLF: Tensor) -> Tensor:
        """Drop features of x_BLF, in training mode only; the others are scaled up as in ``nn.Dropout``."""
        mask_B1F = F.dropout(torch.ones_like(x_BLF[:, :1]), self.p, self.training)
        return x_BLF * mask_B1F


class WeightDropout(nn.Module):
    """Dropout of single recurrent weights of a layer of one direction, one mask for a whole batch [5]_."""

    def __init__(self, layer: nn.Module, p: float) -> None:
        super().__init__()
        self.layer = layer
        self.p = p
        # Torch's name, or that of `tfclass.models.lstm`.
        self.name = "weight_hh_l0" if isinstance(layer, nn.RNNBase) else "weight_h_GH"

    def forward(self, x_BLE: Tensor) -> tuple[Tensor, object]:
        """Run the layer, in training mode with dropped weights."""
        weight = F.dropout(getattr(self.layer, self.name), self.p, self.training)
        return torch.func.functional_call(self.layer, {self.name: weight}, (x_BLE,))


def set_forget_bias(layer: "nn.LSTM | LSTM", value: float) -> None:
    """Set the initial bias of the forget gate of an LSTM layer: a large one makes it remember from the start [6]_."""
    with torch.no_grad():
        if isinstance(layer, nn.LSTM):
            forget = slice(layer.hidden_size, 2 * layer.hidden_size)
            layer.get_parameter("bias_ih_l0")[forget] = value
            # torch has two biases that only ever act as their sum.
            layer.get_parameter("bias_hh_l0")[forget] = 0.0
        else:
            layer.bias_G[layer.hidden : 2 * layer.hidden] = value
