"""The long-range experiment: the task is what it says, and the gradient on the way back is the total one."""

import importlib.util
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.special import expit

from tfclass.models.lstm import LSTM
from tfclass.sequences.alphabet import Alphabet

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "long_range.py"


def load_script():
    specification = importlib.util.spec_from_file_location("long_range", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


long_range = load_script()


@pytest.mark.parametrize("distance", [1, 10, 37])
def test_the_label_says_whether_the_two_are_alike_and_they_are_this_far_apart(distance):
    tokens_BL, labels_B = long_range.make_batch(distance, 400, torch.Generator().manual_seed(0))
    for tokens_L, label in zip(tokens_BL.numpy().astype(np.uint8), labels_B, strict=True):
        sequence = Alphabet().decode(tokens_L)
        first, second = (place for place, letter in enumerate(sequence) if letter in "KE")
        assert second - first == distance
        assert second == len(sequence) - 1
        assert label == (sequence[first] == sequence[second])


def test_no_single_residue_and_no_background_says_anything_about_the_label():
    tokens_BL, labels_B = long_range.make_batch(6, 2000, torch.Generator().manual_seed(1))
    rows = [tuple(row) for row in tokens_BL.tolist()]
    informative = {long_range.LEAD, long_range.LEAD + 6}
    # Brute force: for every position, and every letter there, half of the labels are 1.
    for position, letter in product(range(tokens_BL.shape[1]), range(Alphabet().size)):
        here = labels_B[tokens_BL[:, position] == letter].float()
        assert len(here) == 0 or here.mean() == 0.5
    # The same with all that is not the pair taken together.
    backgrounds = {}
    for row, label in zip(rows, labels_B.tolist(), strict=True):
        rest = tuple(token for position, token in enumerate(row) if position not in informative)
        backgrounds.setdefault(rest, []).append(label)
    assert all(np.mean(labels) == 0.5 for labels in backgrounds.values())
    # The pair says everything.
    pairs = {(row[long_range.LEAD], row[-1], label) for row, label in zip(rows, labels_B.tolist(), strict=True)}
    assert len(pairs) == 4


def test_batches_are_those_of_the_seed():
    one, same, other = (long_range.make_batch(20, 40, torch.Generator().manual_seed(seed))[0] for seed in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def losses_of(model, h_BH, labels_B):
    return F.cross_entropy(model.head(model.hidden(h_BH)), labels_B, reduction="none")


def central_differences(losses, size=1e-6):
    """Derivative of `losses(delta_H)`, a loss per sequence, at zero; shape (B, H)."""
    steps_HH = size * torch.eye(long_range.H, dtype=torch.float64)
    return torch.stack([(losses(step_H) - losses(-step_H)) / (2 * size) for step_H in steps_HH], dim=1)


def lstm_in_numpy(layer, x_BLE, step, delta_H, disturbed):
    """Last state by the gate equations, `delta_H` being added to h or c at `step`."""
    *weights, weight_c = long_range.lstm_weights(layer)
    weight_x_GE, weight_h_GH, bias_G = (weight.detach().numpy() for weight in weights)
    w_ci, w_cf, w_co = np.zeros((3, long_range.H)) if weight_c is None else weight_c.detach().numpy()
    c = h = np.zeros((len(x_BLE), long_range.H))
    for t, x in enumerate(x_BLE.detach().numpy().swapaxes(0, 1)):
        a_i, a_f, a_g, a_o = np.split(x @ weight_x_GE.T + h @ weight_h_GH.T + bias_G, 4, axis=1)
        c = expit(a_f + w_cf * c) * c + expit(a_i + w_ci * c) * np.tanh(a_g)
        c = c + delta_H.numpy() * (t == step and disturbed == "c")
        h = expit(a_o + w_co * c) * np.tanh(c) + delta_H.numpy() * (t == step and disturbed == "h")
    return torch.from_numpy(h)


def torch_from(layer, x_BLE, step, delta_H):
    """Last state by torch's own layer, `delta_H` being added to h at `step`, between two calls of it."""
    _, state = layer(x_BLE[:, : step + 1])
    state = state + delta_H
    return (layer(x_BLE[:, step + 1 :], state)[1] if step + 1 < x_BLE.shape[1] else state)[0]


@pytest.mark.parametrize("kind", long_range.KINDS_OF_NETWORK, ids=lambda kind: kind.label)
def test_the_gradient_by_every_state_is_the_total_derivative(kind):
    model = long_range.make_network(kind, distance=6, seed=1).double()
    tokens_BL, labels_B = long_range.make_batch(6, 4, torch.Generator().manual_seed(2))
    layer, x_BLE = long_range.recurrent_layer(model), model.embedding(tokens_BL)
    gradients = long_range.state_gradients(model, tokens_BL, labels_B)
    is_lstm = isinstance(layer, LSTM | torch.nn.LSTM)
    assert set(gradients) == ({"h", "c"} if is_lstm else {"h"})
    for (state, gradient_LBH), step in product(gradients.items(), (0, 5, tokens_BL.shape[1] - 1)):

        @torch.no_grad()
        def losses(delta_H, state=state, step=step):
            if is_lstm:
                return losses_of(model, lstm_in_numpy(layer, x_BLE, step, delta_H, state), labels_B)
            return losses_of(model, torch_from(layer, x_BLE, step, delta_H), labels_B)

        torch.testing.assert_close(gradient_LBH[step], central_differences(losses), atol=1e-8, rtol=1e-5)


@pytest.mark.parametrize("kind", long_range.KINDS_OF_NETWORK, ids=lambda kind: kind.label)
def test_stepping_gives_the_states_that_the_network_gives(kind):
    model = long_range.make_network(kind, distance=30, seed=3)
    tokens_BL, _ = long_range.make_batch(30, 8, torch.Generator().manual_seed(3))
    x_BLE, lengths_B = model.embedding(tokens_BL), long_range.full_lengths(tokens_BL)
    stepped_BLH = torch.stack(long_range.step_through(long_range.recurrent_layer(model), x_BLE)["h"], dim=1)
    torch.testing.assert_close(stepped_BLH, model.encoder(x_BLE, lengths_B), atol=1e-5, rtol=1e-5)


def test_the_gradient_vanishes_from_the_default_start_and_not_from_the_one_made_for_memory():
    networks = {kind.label: long_range.make_network(kind, 100, seed=0) for kind in long_range.KINDS_OF_NETWORK}
    norms = {label: long_range.gradient_norms(model, 100) for label, model in networks.items()}
    assert all(norms[label]["h"][100] < 1e-6 for label in ("RNN", "LSTM", "GRU"))
    assert norms["LSTM"]["c"][100] < 1e-6
    assert all(norms[label]["c"][100] > 0.1 for label in ("LSTM, memory", "peephole, memory"))
    assert norms["GRU, memory"]["h"][100] > 0.1


def test_a_quick_run_prints_the_tables_and_writes_the_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["long_range.py", "--quick", "--figures", str(tmp_path)])
    try:
        long_range.main()
    finally:
        torch.set_flush_denormal(False)
    names = {"long-range-accuracy.png", "long-range-gradient.png", "long-range-clipping.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    printed = capsys.readouterr().out
    assert "accuracy" in printed
    assert "clipped at norm 1" in printed
