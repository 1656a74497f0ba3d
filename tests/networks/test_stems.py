"""The convolution stem against the same layers run on each sequence alone, and against NumPy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tfclass.networks.encoders import length_mask
from tfclass.networks.stems import ConvolutionStem, NoStem


@pytest.mark.parametrize("pool", [1, 2, 3, 7])
def test_steps_equal_those_of_each_sequence_alone(pool):
    torch.manual_seed(0)
    lengths = [10, 1, 7, 3]
    stem = ConvolutionStem(4, channels=5, kernel=5, pool=pool)
    x_BLE = torch.randn(4, 10, 4) * length_mask(torch.tensor(lengths), 10)[..., None]
    steps_BLF, step_lengths_B = stem(x_BLE, torch.tensor(lengths))
    assert step_lengths_B.tolist() == [-(-length // pool) for length in lengths]
    for row, length in enumerate(lengths):
        alone = F.relu(stem.convolution(x_BLE[row : row + 1, :length].transpose(1, 2)))
        alone = F.max_pool1d(alone, pool, ceil_mode=True).transpose(1, 2)[0]
        torch.testing.assert_close(steps_BLF[row, : len(alone)], alone)


def test_convolution_equals_a_loop_in_numpy():
    torch.manual_seed(0)
    stem = ConvolutionStem(3, channels=2, kernel=3, pool=2)
    x_LE = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    weight = stem.convolution.weight.detach().numpy()
    padded = np.pad(x_LE, ((1, 1), (0, 0)))
    found = np.array([[np.sum(padded[t : t + 3].T * w) for w in weight] for t in range(5)])
    found = np.maximum(found + stem.convolution.bias.detach().numpy(), 0)
    expected = np.array([found[0:2].max(0), found[2:4].max(0), found[4:5].max(0)])
    steps_BLF, _ = stem(torch.from_numpy(x_LE[None]), torch.tensor([5]))
    np.testing.assert_allclose(steps_BLF[0].detach().numpy(), expected, atol=1e-6)


def test_no_stem_returns_its_arguments():
    x_BLE, lengths_B = torch.randn(2, 3, 4), torch.tensor([3, 1])
    out_BLE, out_B = NoStem(4)(x_BLE, lengths_B)
    assert out_BLE is x_BLE
    assert out_B is lengths_B
