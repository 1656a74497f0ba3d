"""Recurrence without packing gives the numbers of torch's packed modules: outputs and gradients, any depth."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from tfclass.models.encoders import Recurrent, length_mask, reversal_index, reverse

LENGTHS = [9, 1, 5, 9, 2]


KINDS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


def pair_with_equal_weights(kind, in_features, hidden, layers, directions):
    """A packed reference of torch, and the encoder with its weights, both in float64."""
    torch.manual_seed(0)
    both = directions == 2
    reference = KINDS[kind](in_features, hidden, layers, batch_first=True, bidirectional=both).double()
    layer = lambda e, h: KINDS[kind](e, h, batch_first=True)  # noqa: E731
    ours = Recurrent(layer, in_features, hidden, layers=layers, directions=directions).double()
    for number in range(layers):
        for modules, suffix in ((ours.forwards, ""), (ours.backwards, "_reverse"))[:directions]:
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                weight = getattr(reference, f"{name}_l{number}{suffix}")
                getattr(modules[number], f"{name}_l0").data.copy_(weight.data)
    return reference, ours


def run_packed(reference, x_BLE, lengths_B):
    packed = pack_padded_sequence(x_BLE, lengths_B, batch_first=True, enforce_sorted=False)
    states_BLF, _ = pad_packed_sequence(reference(packed)[0], batch_first=True, total_length=x_BLE.shape[1])
    return states_BLF


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("layers", [1, 2, 3], ids=lambda n: f"{n} layers")
@pytest.mark.parametrize("directions", [1, 2], ids=lambda n: f"{n} directions")
def test_states_and_input_gradients_equal_the_packed_module(kind, layers, directions):
    reference, ours = pair_with_equal_weights(kind, 4, 3, layers, directions)
    lengths_B = torch.tensor(LENGTHS)
    mask_BL1 = length_mask(lengths_B, 11)[..., None]
    x_BLE = torch.randn(5, 11, 4, dtype=torch.float64)
    results = []
    for run in (lambda x: run_packed(reference, x, lengths_B), lambda x: ours(x, lengths_B)):
        x = x_BLE.clone().requires_grad_()
        states_BLF = run(x) * mask_BL1
        (states_BLF.sin() * torch.linspace(0, 1, 3 * directions, dtype=torch.float64)).sum().backward()
        results.append((states_BLF.detach(), x.grad))
    torch.testing.assert_close(results[1][0], results[0][0], atol=1e-12, rtol=0)
    torch.testing.assert_close(results[1][1], results[0][1], atol=1e-12, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_weight_gradients_equal_the_packed_module(kind):
    reference, ours = pair_with_equal_weights(kind, 4, 3, layers=1, directions=2)
    lengths_B = torch.tensor(LENGTHS)
    mask_BL1 = length_mask(lengths_B, 9)[..., None]
    x_BLE = torch.randn(5, 9, 4, dtype=torch.float64)
    (run_packed(reference, x_BLE, lengths_B).cos() * mask_BL1).sum().backward()
    (ours(x_BLE, lengths_B).cos() * mask_BL1).sum().backward()
    for modules, suffix in ((ours.forwards, ""), (ours.backwards, "_reverse")):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            expected = getattr(reference, f"{name}_l0{suffix}").grad
            torch.testing.assert_close(getattr(modules[0], f"{name}_l0").grad, expected, atol=1e-12, rtol=0)


def test_reversal_stays_within_each_length_and_is_its_own_inverse():
    index_BL = reversal_index(torch.tensor([3, 1, 5]), 5)
    assert index_BL.tolist() == [[2, 1, 0, 3, 4], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0]]
    x_BLF = torch.randn(3, 5, 2)
    torch.testing.assert_close(reverse(reverse(x_BLF, index_BL), index_BL), x_BLF, atol=0, rtol=0)


def test_mask_is_true_before_the_end_only():
    assert length_mask(torch.tensor([2, 1]), 3).tolist() == [[True, True, False], [True, False, False]]


def test_a_residual_layer_adds_what_it_reads():
    torch.manual_seed(0)
    encoder = Recurrent(lambda e, h: nn.LSTM(e, h, batch_first=True), 4, 3, layers=2, residual=True)
    lengths_B = torch.tensor([5, 3])
    x_BLE = torch.randn(2, 5, 4)
    first = Recurrent(lambda e, h: nn.LSTM(e, h, batch_first=True), 4, 3)
    first.load_state_dict({k: v for k, v in encoder.state_dict().items() if k.split(".")[1] == "0"})
    second = Recurrent(lambda e, h: nn.LSTM(e, h, batch_first=True), 6, 3)
    renamed = {k.replace(".1.", ".0."): v for k, v in encoder.state_dict().items() if k.split(".")[1] == "1"}
    second.load_state_dict(renamed)
    below_BLF = first(x_BLE, lengths_B)
    torch.testing.assert_close(encoder(x_BLE, lengths_B), below_BLF + second(below_BLF, lengths_B))
