"""Variants of dropout, and the bias of forget gates.

References
----------
.. [1] Y. Gal, Z. Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks", NeurIPS
   2016, 10.48550/arXiv.1512.05287.
.. [2] S. Merity, N. Keskar, R. Socher, "Regularizing and optimizing LSTM language models", ICLR 2018,
   10.48550/arXiv.1708.02182.
.. [3] R. Jozefowicz, W. Zaremba, I. Sutskever, "An empirical exploration of recurrent network architectures", ICML
   2015.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tfclass.models.lstm import LSTM


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


class VariationalDropout(nn.Module):
    """Dropout of features, with one mask for all positions of a sequence [1]_."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x_BLF: Tensor) -> Tensor:
        """Drop features of x_BLF, in training mode only; the others are scaled up as in ``nn.Dropout``."""
        mask_B1F = F.dropout(torch.ones_like(x_BLF[:, :1]), self.p, self.training)
        return x_BLF * mask_B1F


class WeightDropout(nn.Module):
    """Dropout of single recurrent weights of a layer of one direction, one mask for a whole batch [2]_."""

    def __init__(self, layer: nn.Module, p: float) -> None:
        super().__init__()
        self.layer = layer
        self.p = p
        self.name = "weight_h_GH" if isinstance(layer, LSTM) else "weight_hh_l0"

    def forward(self, x_BLE: Tensor) -> tuple[Tensor, object]:
        """Run the layer, in training mode with dropped weights."""
        weight = F.dropout(getattr(self.layer, self.name), self.p, self.training)
        return torch.func.functional_call(self.layer, {self.name: weight}, (x_BLE,))


def set_forget_bias(layer: nn.LSTM | LSTM, value: float) -> None:
    """Set the initial bias of the forget gate of an LSTM layer: a large one makes it remember from the start [3]_."""
    with torch.no_grad():
        if isinstance(layer, LSTM):
            layer.bias_G[layer.hidden : 2 * layer.hidden] = value
        else:
            forget = slice(layer.hidden_size, 2 * layer.hidden_size)
            layer.get_parameter("bias_ih_l0")[forget] = value
            # torch has two biases that only ever act as their sum.
            layer.get_parameter("bias_hh_l0")[forget] = 0.0
