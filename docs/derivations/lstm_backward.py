r"""The backward pass of the peephole LSTM, written out: a float64 reference for one sequence.

It is here to be read and to be tested against automatic differentiation; training uses the latter. With
:math:`\bar a = \partial\,\text{loss} / \partial a`, and going from the last step to the first:

.. math::

   \bar o_t &= \bar h_t \odot \tanh(c_t) &
   \bar a_o &= \bar o_t \odot o_t (1 - o_t) \\
   \bar c_t &\mathrel{+}= \bar h_t \odot o_t (1 - \tanh^2 c_t) + W_{co}^\top \bar a_o \\
   \bar f_t &= \bar c_t \odot c_{t-1} &
   \bar a_f &= \bar f_t \odot f_t (1 - f_t) \\
   \bar i_t &= \bar c_t \odot g_t &
   \bar a_i &= \bar i_t \odot i_t (1 - i_t) \\
   \bar g_t &= \bar c_t \odot i_t &
   \bar a_g &= \bar g_t \odot (1 - g_t^2) \\
   \bar c_{t-1} &= \bar c_t \odot f_t + W_{ci}^\top \bar a_i + W_{cf}^\top \bar a_f \\
   \bar h_{t-1} &\mathrel{+}= W_h^\top \bar a_t, \qquad
   \bar x_t = W_x^\top \bar a_t

and every weight collects the outer product of :math:`\bar a_t` with what it multiplied [1]_. The line for
:math:`\bar c_{t-1}` is why an LSTM remembers: without peepholes, the cell's gradient is only ever scaled by the forget
gate, while a plain recurrent network multiplies it with :math:`W_h^\top` at every step.

References
----------
.. [1] A. Graves, J. Schmidhuber, Neural Networks 18 (2005), 10.1016/j.neunet.2005.06.042, appendix A.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from tfclass.typing import FloatArray


class Weights(NamedTuple):
    """The weights of `tfclass.models.lstm.LSTM`, or their gradients.

    Attributes
    ----------
    x_GE, h_GH, bias_G : ndarray of float64
        Gates in the order i, f, g, o.
    peephole_PHH : ndarray of float64, shape (3, H, H)
        Peepholes of i, f and o as full matrices; zeros without.
    """

    x_GE: FloatArray
    h_GH: FloatArray
    bias_G: FloatArray
    peephole_PHH: FloatArray


class Trace(NamedTuple):
    """The values of the forward pass that the backward one needs, by step; `c_LH`, `h_LH` begin with the zero state."""

    x_LE: FloatArray
    i_LH: FloatArray
    f_LH: FloatArray
    g_LH: FloatArray
    o_LH: FloatArray
    c_LH: FloatArray
    h_LH: FloatArray


def forward(x_LE: FloatArray, weights: Weights) -> Trace:
    """Run one sequence forward.

    Parameters
    ----------
    x_LE : ndarray of float64, shape (L, E)

    Returns
    -------
    Trace
        `c_LH` and `h_LH` have L + 1 rows.
    """
    length, hidden = len(x_LE), weights.h_GH.shape[1]
    i_LH, f_LH, g_LH, o_LH = np.empty((4, length, hidden))
    c_LH, h_LH = np.zeros((2, length + 1, hidden))
    w_ci, w_cf, w_co = weights.peephole_PHH
    for t, x_E in enumerate(x_LE):
        a_i, a_f, a_g, a_o = np.split(weights.x_GE @ x_E + weights.h_GH @ h_LH[t] + weights.bias_G, 4)
        i_LH[t] = expit(a_i + w_ci @ c_LH[t])
        f_LH[t] = expit(a_f + w_cf @ c_LH[t])
        g_LH[t] = np.tanh(a_g)
        c_LH[t + 1] = f_LH[t] * c_LH[t] + i_LH[t] * g_LH[t]
        o_LH[t] = expit(a_o + w_co @ c_LH[t + 1])
        h_LH[t + 1] = o_LH[t] * np.tanh(c_LH[t + 1])
    return Trace(x_LE, i_LH, f_LH, g_LH, o_LH, c_LH, h_LH)


def backward(trace: Trace, weights: Weights, d_states_LH: FloatArray) -> tuple[FloatArray, Weights]:
    """Run one sequence backward.

    Parameters
    ----------
    trace : Trace
        From `forward` with the same weights.
    d_states_LH : ndarray of float64, shape (L, H)
        Gradient of the loss with respect to each state, as it comes from outside the layer.

    Returns
    -------
    d_x_LE : ndarray of float64, shape (L, E)
        Gradient with respect to the input.
    Weights
        Gradients of the weights.
    """
    w_ci, w_cf, w_co = weights.peephole_PHH
    gradient = Weights(*(np.zeros_like(weight) for weight in weights))
    d_x_LE = np.zeros_like(trace.x_LE)
    d_h, d_c = np.zeros((2, weights.h_GH.shape[1]))
    for t in reversed(range(len(trace.x_LE))):
        i, f, g, o = trace.i_LH[t], trace.f_LH[t], trace.g_LH[t], trace.o_LH[t]
        c_old, c_new = trace.c_LH[t], trace.c_LH[t + 1]
        d_h = d_h + d_states_LH[t]
        d_a_o = d_h * np.tanh(c_new) * o * (1 - o)
        d_c = d_c + d_h * o * (1 - np.tanh(c_new) ** 2) + w_co.T @ d_a_o
        d_a_f = d_c * c_old * f * (1 - f)
        d_a_i = d_c * g * i * (1 - i)
        d_a_g = d_c * i * (1 - g**2)
        d_a_G = np.concatenate([d_a_i, d_a_f, d_a_g, d_a_o])

        gradient.x_GE[:] += np.outer(d_a_G, trace.x_LE[t])
        gradient.h_GH[:] += np.outer(d_a_G, trace.h_LH[t])
        gradient.bias_G[:] += d_a_G
        for peephole, d_a, seen in zip(
            gradient.peephole_PHH, (d_a_i, d_a_f, d_a_o), (c_old, c_old, c_new), strict=True
        ):
            peephole += np.outer(d_a, seen)

        d_x_LE[t] = weights.x_GE.T @ d_a_G
        d_h = weights.h_GH.T @ d_a_G
        d_c = d_c * f + w_ci.T @ d_a_i + w_cf.T @ d_a_f
    return d_x_LE, gradient
