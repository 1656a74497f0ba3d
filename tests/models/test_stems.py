"""The convolution stem against the same layers run on each sequence alone, and against NumPy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tfclass.models.encoders import length_mask
from tfclass.models.stems import ConvolutionStem, NoStem


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


@pytest.mark.parametrize("pool", [1, 2, 3, 7])
@pytest.mark.parametrize("name", ["learned", "one_hot", "blosum62"])
def test_tables_give_the_steps_of_embedding_and_convolution(name, pool, alphabet):
    from dataclasses import replace

    from tests.conftest import SMALL
    from tfclass.config import StemConfig
    from tfclass.models.factory import build

    torch.manual_seed(0)
    config = replace(SMALL, embedding=name, stem=StemConfig.default(channels=6, kernel=5, pool=pool))
    network = build(config, alphabet, 2)
    lengths_B = torch.tensor([10, 1, 7, 3])
    tokens_BL = torch.randint(1, 27, (4, 10)) * length_mask(lengths_B, 10)
    expected_BLF, expected_B = network.stem(network.embedding(tokens_BL), lengths_B)
    found_BLF, found_B = network.lookup()(tokens_BL, lengths_B)
    assert torch.equal(found_B, expected_B)
    torch.testing.assert_close(found_BLF, expected_BLF, atol=1e-6, rtol=1e-6)


def test_kmers_of_several_residues_have_no_tables(alphabet):
    from dataclasses import replace

    from tests.conftest import SMALL
    from tfclass.models.factory import build

    assert build(replace(SMALL, kmer=2), alphabet, 2).lookup() is None
