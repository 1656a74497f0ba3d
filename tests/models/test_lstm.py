"""The cells against torch's own, against a slow NumPy reading of the equations, and against finite differences."""

import numpy as np
import pytest
import torch
from torch import nn

from docs.derivations import lstm_backward
from tfclass.models.encoders import VariationalDropout, WeightDropout, set_forget_bias
from tfclass.models.lstm import LSTM
from tfclass.models.stacks import Dropout

PEEPHOLES = ["none", "diagonal", "full"]


def copy_into_torch(ours):
    """torch.nn.LSTM with the weights of our cell."""
    theirs = nn.LSTM(ours.weight_x_GE.shape[1], ours.hidden, batch_first=True).double()
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.weight_x_GE)
        theirs.weight_hh_l0.copy_(ours.weight_h_GH)
        theirs.bias_ih_l0.copy_(ours.bias_G)
        theirs.bias_hh_l0.zero_()
    return theirs


def as_arrays(cell):
    """The cell's weights for the reference, peepholes as full matrices."""
    hidden = cell.hidden
    weight_PHH = np.zeros((3, hidden, hidden))
    if cell.weight_c is not None:
        weight = cell.weight_c.detach().numpy()
        weight_PHH = np.stack([np.diag(w) if w.ndim == 1 else w for w in weight])
    plain = (p.detach().numpy() for p in (cell.weight_x_GE, cell.weight_h_GH, cell.bias_G))
    return lstm_backward.Weights(*plain, weight_PHH)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("peephole", PEEPHOLES)
def test_with_zero_peepholes_states_and_gradients_are_those_of_torch(peephole):
    ours = LSTM(4, 3, peephole).double()
    if ours.weight_c is not None:
        nn.init.zeros_(ours.weight_c)
    theirs = copy_into_torch(ours)
    x_BLE = torch.randn(5, 11, 4, dtype=torch.float64)
    results = []
    for module in (ours, theirs):
        x = x_BLE.clone().requires_grad_()
        states_BLH, _ = module(x)
        states_BLH.sin().sum().backward()
        results.append((states_BLH.detach(), x.grad))
    for mine, torchs in zip(*results, strict=True):
        torch.testing.assert_close(mine, torchs, atol=1e-10, rtol=0)
    torch.testing.assert_close(ours.weight_x_GE.grad, theirs.weight_ih_l0.grad, atol=1e-10, rtol=0)
    torch.testing.assert_close(ours.weight_h_GH.grad, theirs.weight_hh_l0.grad, atol=1e-10, rtol=0)
    torch.testing.assert_close(ours.bias_G.grad, theirs.bias_ih_l0.grad, atol=1e-10, rtol=0)


@pytest.mark.parametrize("peephole", PEEPHOLES)
def test_forward_and_backward_equal_the_pass_written_out(peephole):
    cell = LSTM(4, 3, peephole).double()
    x_LE = torch.randn(9, 4, dtype=torch.float64, requires_grad=True)
    d_states_LH = torch.randn(9, 3, dtype=torch.float64)
    states_BLH, _ = cell(x_LE[None])
    (states_BLH[0] * d_states_LH).sum().backward()

    weights = as_arrays(cell)
    trace = lstm_backward.forward(x_LE.detach().numpy(), weights)
    d_x_LE, gradient = lstm_backward.backward(trace, weights, d_states_LH.numpy())
    np.testing.assert_allclose(trace.h_LH[1:], states_BLH[0].detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(d_x_LE, x_LE.grad.numpy(), atol=1e-10)
    np.testing.assert_allclose(gradient.x_GE, cell.weight_x_GE.grad.numpy(), atol=1e-10)
    np.testing.assert_allclose(gradient.h_GH, cell.weight_h_GH.grad.numpy(), atol=1e-10)
    np.testing.assert_allclose(gradient.bias_G, cell.bias_G.grad.numpy(), atol=1e-10)
    if cell.weight_c is not None:
        full = gradient.peephole_PHH
        expected = full if peephole == "full" else np.stack([np.diag(w) for w in full])
        np.testing.assert_allclose(expected, cell.weight_c.grad.numpy(), atol=1e-10)


@pytest.mark.parametrize("peephole", PEEPHOLES)
def test_gradients_agree_with_finite_differences(peephole):
    cell = LSTM(2, 3, peephole).double()
    names = [name for name, _ in cell.named_parameters()]

    def run(x_BLE, *parameters):
        return torch.func.functional_call(cell, dict(zip(names, parameters, strict=True)), (x_BLE,))[0]

    x_BLE = torch.randn(2, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(run, (x_BLE, *cell.parameters()))


def test_the_output_gate_sees_the_new_cell_and_the_others_the_old_one():
    cell = LSTM(1, 1, "diagonal").double()
    for parameter in cell.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        cell.bias_G[:] = torch.tensor([0.0, 0.0, 1.0, 0.0])
        cell.weight_c[:] = torch.tensor([[10.0], [20.0], [30.0]])
    gates = cell.gates(torch.zeros(1, 2, 1, dtype=torch.float64))
    g = np.tanh(1.0)
    c1 = 0.5 * g
    sigma = lambda a: 1 / (1 + np.exp(-a))  # noqa: E731
    np.testing.assert_allclose(gates.i[0, :, 0].detach(), [0.5, sigma(10 * c1)])
    np.testing.assert_allclose(gates.f[0, :, 0].detach(), [0.5, sigma(20 * c1)])
    c2 = sigma(20 * c1) * c1 + sigma(10 * c1) * g
    np.testing.assert_allclose(gates.o[0, :, 0].detach(), [sigma(30 * c1), sigma(30 * c2)])


def test_the_forget_bias_is_set_in_both_kinds_of_layer():
    ours, theirs = LSTM(4, 3), nn.LSTM(4, 3)
    set_forget_bias(ours, 1.5)
    set_forget_bias(theirs, 1.5)
    assert ours.bias_G[3:6].tolist() == [1.5] * 3
    assert (theirs.bias_ih_l0 + theirs.bias_hh_l0)[3:6].tolist() == [1.5] * 3
    assert (theirs.bias_ih_l0 + theirs.bias_hh_l0)[:3].abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.999999])
def test_dropout_drops_a_fraction_p_and_scales_up_the_rest_with_its_gradient(share, dtype):
    torch.manual_seed(0)
    x = torch.ones(999, 1001, dtype=dtype, requires_grad=True)
    dropped = Dropout(share)(x)
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped)
    zero, scaled = dropped.unique().tolist()
    assert zero == 0
    # 16 bits tell one share in 65,536.
    assert 1 / scaled == pytest.approx(1 - min(share, 1 - 2**-16), rel=2**-8 if dtype == torch.bfloat16 else 2e-5)
    found, spread = float((dropped == 0).double().mean()), (share * (1 - share) / x.numel()) ** 0.5
    assert found == pytest.approx(share, abs=5 * spread + 2**-16)
    # One after the other as independent as they should be, and those of a word of 64 bits too.
    kept = (dropped != 0).double().flatten() - (1 - found)
    for lag in (1, 2, 3, 4, 8):
        assert abs(float((kept[:-lag] * kept[lag:]).mean())) < 5 * share * (1 - share) / x.numel() ** 0.5 + 1e-9


def test_dropout_follows_torch_s_seed_and_leaves_scoring_alone():
    dropout, x = Dropout(0.3), torch.randn(5, 7)
    torch.manual_seed(3)
    first = dropout(x)
    assert not torch.equal(dropout(x), first)
    torch.manual_seed(3)
    assert torch.equal(dropout(x), first)
    assert dropout(x[:0]).shape == (0, 7)
    assert dropout.eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_variational_dropout_drops_a_feature_at_every_position_or_at_none():
    dropout = VariationalDropout(0.5)
    dropped_BLF = dropout(torch.ones(4, 7, 50))
    assert set(dropped_BLF.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropped_BLF, dropped_BLF[:, :1].expand(4, 7, 50))
    assert not torch.equal(dropped_BLF[0], dropped_BLF[1])
    assert torch.equal(dropout.eval()(torch.ones(1, 2, 3)), torch.ones(1, 2, 3))


@pytest.mark.parametrize("make", [LSTM, lambda e, h: nn.GRU(e, h, batch_first=True)], ids=["own LSTM", "torch GRU"])
def test_weight_dropout_acts_in_training_only_and_leaves_the_weights_alone(make):
    layer = make(4, 3)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    x_BLE = torch.randn(2, 6, 4)
    wrapped = WeightDropout(layer, 0.5)
    with torch.no_grad():
        expected = layer(x_BLE)[0]
        assert not torch.equal(wrapped(x_BLE)[0], expected)
        assert torch.equal(wrapped.eval()(x_BLE)[0], expected)
    assert all(torch.equal(before[name], value) for name, value in layer.state_dict().items())
