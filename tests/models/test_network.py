"""Every pooling against a loop over single sequences in NumPy."""

from functools import partial

import numpy as np
import pytest
import torch

from tfclass.models.encoders import length_mask
from tfclass.models.network import AttentionPooling, LastPooling, MaxPooling, MeanPooling

LENGTHS = [4, 1, 6]


@pytest.fixture
def states():
    torch.manual_seed(0)
    states_BLF = torch.randn(3, 6, 8)
    # What stands on padding must change nothing, so it is the worst there can be: finite, and huge.
    states_BLF[~length_mask(torch.tensor(LENGTHS), 6)] = 1e30
    return states_BLF


def attention_oracle(pooling, states_LF):
    w, b = (p.detach().numpy().astype(float) for p in (pooling.project.weight, pooling.project.bias))
    score_L = np.tanh(states_LF @ w.T + b) @ pooling.score.weight.detach().numpy().astype(float)[0]
    weight_L = np.exp(score_L) / np.exp(score_L).sum()
    return weight_L @ states_LF


def linear_attention_oracle(pooling, states_LF):
    score_L = states_LF @ pooling.score.weight.detach().numpy().astype(float)[0]
    return np.exp(score_L) / np.exp(score_L).sum() @ states_LF


@pytest.mark.parametrize(
    ("kind", "oracle"),
    [
        (MeanPooling, lambda _, s: s.mean(axis=0)),
        (MaxPooling, lambda _, s: s.max(axis=0)),
        (LastPooling, lambda _, s: np.concatenate([s[-1, :4], s[0, 4:]])),
        (AttentionPooling, attention_oracle),
        (partial(AttentionPooling, hidden=3), attention_oracle),
        (partial(AttentionPooling, hidden=0), linear_attention_oracle),
    ],
    ids=["mean", "max", "last", "attention", "attention of another width", "linear attention"],
)
def test_pooling_reads_real_positions_only_and_equals_a_loop(kind, oracle, states):
    pooling = kind(8, directions=2)
    pooled_BF = pooling(states, length_mask(torch.tensor(LENGTHS), 6)).detach().numpy()
    for row, length in enumerate(LENGTHS):
        expected = oracle(pooling, states[row, :length].numpy().astype(float))
        np.testing.assert_allclose(pooled_BF[row], expected, atol=1e-6)


def test_last_pooling_of_one_direction_is_the_last_state(states):
    pooled_BF = LastPooling(8, directions=1)(states, length_mask(torch.tensor(LENGTHS), 6))
    assert torch.equal(pooled_BF, torch.stack([states[0, 3], states[1, 0], states[2, 5]]))


def test_attention_weights_sum_to_one_and_are_zero_on_padding(states):
    mask_BL = length_mask(torch.tensor(LENGTHS), 6)
    weights_BL = AttentionPooling(8, directions=2).weights(states, mask_BL)
    torch.testing.assert_close(weights_BL.sum(dim=1), torch.ones(3))
    assert (weights_BL[~mask_BL] == 0).all()
