"""Gate traces: the values of every LSTM gate at every position.

``torch.nn.LSTM`` does not return its gates, so they are computed again from its weights, by the equations of
`tfclass.models.lstm`; the resulting states equal those of the module.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tfclass.models.encoders import Recurrent, WeightDropout, reversal_index, reverse
from tfclass.models.forward import evaluating
from tfclass.models.lstm import LSTM, Gates


@torch.no_grad()
def gate_traces(encoder: Recurrent, x_BLE: Tensor, lengths_B: Tensor) -> list[list[Gates]]:
    """Run an encoder and keep the gates of every layer and direction.

    Parameters
    ----------
    encoder : Recurrent
        Of LSTM layers; its mode is restored.
    x_BLE : float tensor, shape (B, L, E)
        What the encoder reads.
    lengths_B : int64 tensor, shape (B,)
        Steps of each sequence.

    Returns
    -------
    list of list of Gates
        By layer, then direction (forward, backward); each tensor of shape (B, L, H), position t of the backward
        direction being position t of the sequence. What stands on padding is unspecified.

    Raises
    ------
    TypeError
        The layers of the encoder are not LSTMs.
    """
    if not isinstance(encoder, Recurrent):
        raise _no_gates(encoder)
    index_BL = reversal_index(lengths_B, x_BLE.shape[1])
    with evaluating(encoder), _recorded_inputs(encoder) as inputs:
        encoder(x_BLE, lengths_B)
        traces = []
        for number, forward in enumerate(encoder.forwards):
            directions = [_as_cell(forward).gates(inputs[forward])]
            if encoder.directions == 2:
                backward = encoder.backwards[number]
                gates = _as_cell(backward).gates(inputs[backward])
                directions.append(Gates(*(reverse(each, index_BL) for each in gates)))
            traces.append(directions)
    return traces


@contextlib.contextmanager
def _recorded_inputs(encoder: Recurrent) -> Iterator[dict[nn.Module, Tensor]]:
    inputs: dict[nn.Module, Tensor] = {}

    def record(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        inputs[module] = arguments[0]

    handles = [layer.register_forward_pre_hook(record) for layer in (*encoder.forwards, *encoder.backwards)]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


def _as_cell(layer: nn.Module) -> LSTM:
    if isinstance(layer, WeightDropout):
        return _as_cell(layer.layer)
    if isinstance(layer, LSTM):
        return layer
    if not isinstance(layer, nn.LSTM):
        raise _no_gates(layer)
    weight = layer.get_parameter
    cell = LSTM(layer.input_size, layer.hidden_size).to(weight("weight_ih_l0"))
    cell.weight_x_GE.copy_(weight("weight_ih_l0"))
    cell.weight_h_GH.copy_(weight("weight_hh_l0"))
    cell.bias_G.copy_(weight("bias_ih_l0") + weight("bias_hh_l0"))
    return cell


def _no_gates(layer: nn.Module) -> TypeError:
    return TypeError(f"layers of {type(layer).__name__}: only an LSTM has input, forget and output gates")
