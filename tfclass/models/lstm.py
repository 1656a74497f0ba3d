r"""The LSTM and the peephole LSTM, written from their gate equations.

One step, in the papers' symbols. :math:`x_t` is the input, :math:`h_t` the state, :math:`c_t` the cell,
:math:`\sigma` the logistic function, and :math:`\odot` the product element by element:

.. math::

   i_t &= \sigma(W_{xi} x_t + W_{hi} h_{t-1} + W_{ci} c_{t-1} + b_i) \\
   f_t &= \sigma(W_{xf} x_t + W_{hf} h_{t-1} + W_{cf} c_{t-1} + b_f) \\
   g_t &= \tanh(W_{xc} x_t + W_{hc} h_{t-1} + b_c) \\
   c_t &= f_t \odot c_{t-1} + i_t \odot g_t \\
   o_t &= \sigma(W_{xo} x_t + W_{ho} h_{t-1} + W_{co} c_t + b_o) \\
   h_t &= o_t \odot \tanh(c_t)

The LSTM [1]_ with a forget gate [2]_ has no :math:`W_{c\cdot}`. A peephole LSTM [3]_ lets the gates see the cell: the
input and forget gates the old one, the output gate **the new one**. The peephole weights are diagonal, as in [3]_ and
[4]_, or full matrices, as in [5]_.

References
----------
.. [1] S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9 (1997), 10.1162/neco.1997.9.8.1735.
.. [2] F. Gers, J. Schmidhuber, F. Cummins, "Learning to forget", Neural Computation 12 (2000),
   10.1162/089976600300015015.
.. [3] F. Gers, J. Schmidhuber, "Recurrent nets that time and count", IJCNN 2000, 10.1109/IJCNN.2000.861302.
.. [4] A. Graves, J. Schmidhuber, "Framewise phoneme classification with bidirectional LSTM and other neural network
   architectures", Neural Networks 18 (2005), 10.1016/j.neunet.2005.06.042.
.. [5] Y. Gao, D. Glowacka, "Deep gate recurrent neural network", ACML 2016, 10.48550/arXiv.1604.02910.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Peephole = Literal["none", "diagonal", "full"]


class Gates(NamedTuple):
    """The values of an LSTM at a step, or at every step; all of the same shape, the last dimension H.

    Attributes
    ----------
    i, f, g, o : float tensor
        Input gate, forget gate, candidate, output gate.
    c, h : float tensor
        Cell and state.
    """

    i: Tensor
    f: Tensor
    g: Tensor
    o: Tensor
    c: Tensor
    h: Tensor


class LSTM(nn.Module):
    """One direction of an LSTM, without peepholes or with diagonal or full ones, from zero state."""

    def __init__(self, in_features: int, hidden: int, peephole: Peephole = "none") -> None:
        super().__init__()
        self.hidden = hidden
        # G = 4H rows in torch's order i, f, g, o; torch.nn.LSTM has two biases that only ever act as their sum.
        self.weight_x_GE = nn.Parameter(torch.empty(4 * hidden, in_features))
        self.weight_h_GH = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.bias_G = nn.Parameter(torch.empty(4 * hidden))
        shapes = {"none": None, "diagonal": (3, hidden), "full": (3, hidden, hidden)}
        shape = shapes[peephole]
        # The three are W_ci, W_cf, W_co.
        self.weight_c = None if shape is None else nn.Parameter(torch.empty(shape))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)

    def forward(self, x_BLE: Tensor) -> tuple[Tensor, None]:
        """Run over a batch, x_BLE -> states_BLH; the None is in the place of the last states of ``torch.nn.LSTM``."""
        return torch.stack([step.h for step in self._steps(x_BLE)], dim=1), None

    def gates(self, x_BLE: Tensor) -> Gates:
        """Run over a batch and keep everything, each of shape (B, L, H)."""
        return Gates(*(torch.stack(each, dim=1) for each in zip(*self._steps(x_BLE), strict=True)))

    def _steps(self, x_BLE: Tensor) -> Iterator[Gates]:
        # The inputs of all steps are projected at once; only what depends on the step before is left to the loop.
        pre_LBG = nn.functional.linear(x_BLE, self.weight_x_GE, self.bias_G).transpose(0, 1)
        c_BH = h_BH = x_BLE.new_zeros(x_BLE.shape[0], self.hidden)
        for pre_BG in pre_LBG:
            step = lstm_step(torch.addmm(pre_BG, h_BH, self.weight_h_GH.T), c_BH, self.weight_c)
            c_BH, h_BH = step.c, step.h
            yield step


def lstm_step(pre_BG: Tensor, c_BH: Tensor, weight_c: Tensor | None) -> Gates:
    """Compute one step by the equations of this module.

    Parameters
    ----------
    pre_BG : float tensor, shape (B, 4H)
        The sum of input, state and bias terms of the gates, in the order i, f, g, o.
    c_BH : float tensor, shape (B, H)
        The cell before the step.
    weight_c : float tensor, shape (3, H) or (3, H, H), or None
        Peephole weights of i, f and o.

    Returns
    -------
    Gates
        Each of shape (B, H).
    """
    i_BH, f_BH, g_BH, o_BH = pre_BG.chunk(4, dim=1)
    if weight_c is not None:
        i_BH = i_BH + peep(c_BH, weight_c[0])
        f_BH = f_BH + peep(c_BH, weight_c[1])
    i_BH, f_BH, g_BH = i_BH.sigmoid(), f_BH.sigmoid(), g_BH.tanh()
    c_BH = f_BH * c_BH + i_BH * g_BH
    if weight_c is not None:
        o_BH = o_BH + peep(c_BH, weight_c[2])
    o_BH = o_BH.sigmoid()
    return Gates(i_BH, f_BH, g_BH, o_BH, c_BH, o_BH * c_BH.tanh())


def peep(c_BH: Tensor, weight: Tensor) -> Tensor:
    """Return the peephole term of a gate: `weight` of shape (H,) is a diagonal, of shape (H, H) a matrix."""
    return c_BH * weight if weight.dim() == 1 else c_BH @ weight.T
