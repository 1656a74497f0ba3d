"""Recomputed gates lead to the very states that the encoder gives."""

from dataclasses import replace

import pytest
import torch

from tests.conftest import SMALL
from tfclass.interpretation.gates import gate_traces
from tfclass.models.encoders import IdentityEncoder, length_mask
from tfclass.models.factory import build_encoder

LENGTHS = torch.tensor([9, 1, 6])


def encoder(**options):
    torch.manual_seed(0)
    config = replace(SMALL, **{"layers": 2, "dropout": 0.5, **options})
    return build_encoder(4, config).double()


@pytest.mark.parametrize(
    "options",
    [
        {"encoder": "bilstm"},
        {"encoder": "lstm"},
        {"encoder": "peephole_lstm"},
        {"encoder": "peephole_lstm", "peephole": "full"},
        {"encoder": "bilstm", "weight_dropout": 0.5},
    ],
    ids=lambda options: " ".join(map(str, options.values())),
)
def test_the_states_of_the_trace_are_those_of_the_encoder(options):
    tested = encoder(**options).train()
    x_BLE = torch.randn(3, 9, 4, dtype=torch.float64)
    mask_BL1 = length_mask(LENGTHS, 9)[..., None]
    traces = gate_traces(tested, x_BLE, LENGTHS)
    assert tested.training
    assert len(traces) == 2
    states_BLF = torch.cat([gates.h for gates in traces[-1]], dim=-1)
    with torch.no_grad():
        expected_BLF = tested.eval()(x_BLE, LENGTHS)
    torch.testing.assert_close(states_BLF * mask_BL1, expected_BLF * mask_BL1, atol=1e-12, rtol=0)


def test_gates_lie_between_0_and_1_and_obey_the_equation_of_the_cell():
    x_BLE = torch.randn(3, 9, 4, dtype=torch.float64)
    ahead, behind = gate_traces(encoder(encoder="bilstm"), x_BLE, LENGTHS)[0]
    for gates in (ahead, behind):
        for gate in (gates.i, gates.f, gates.o):
            assert ((gate > 0) & (gate < 1)).all()
    torch.testing.assert_close(ahead.c[:, 1:], ahead.f[:, 1:] * ahead.c[:, :-1] + ahead.i[:, 1:] * ahead.g[:, 1:])
    # The backward direction comes from the right: the first protein fills the batch, so nothing of it is padding.
    torch.testing.assert_close(
        behind.c[0, :-1], behind.f[0, :-1] * behind.c[0, 1:] + behind.i[0, :-1] * behind.g[0, :-1]
    )


@pytest.mark.parametrize("name", ["gru", "rnn"])
def test_an_encoder_without_these_gates_says_so(name):
    with pytest.raises(TypeError, match=f"layers of {name.upper()}: only an LSTM"):
        gate_traces(encoder(encoder=name), torch.randn(3, 9, 4, dtype=torch.float64), LENGTHS)


def test_a_network_without_an_encoder_says_so():
    with pytest.raises(TypeError, match="layers of IdentityEncoder: only an LSTM"):
        gate_traces(IdentityEncoder(4), torch.randn(3, 9, 4), LENGTHS)
