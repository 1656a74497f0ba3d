"""Embeddings against Biopython's tables and a loop over k-mers; stems against their layers on single sequences."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from Bio.Align import substitution_matrices
from Bio.SeqUtils.IsoelectricPoint import negative_pKs, positive_pKs
from Bio.SeqUtils.ProtParamData import kd

from tfclass.models.encoders import length_mask
from tfclass.models.front import (
    _POLARITY,
    _VOLUME,
    ConvolutionStem,
    FixedEmbedding,
    KmerEmbedding,
    NoStem,
    blosum62,
    one_hot,
    physicochemical,
)
from tfclass.sequences.alphabet import AMINO_ACIDS


def test_kmers_equal_a_loop_and_short_sequences_have_kmers_too(alphabet):
    torch.manual_seed(0)
    embedding = KmerEmbedding(alphabet, dim=4, k=3)
    tokens_BL = torch.tensor([[5, 9, 1, 26, 3], [7, 2, 0, 0, 0]])
    x_BLE = embedding(tokens_BL)
    padded = np.pad(tokens_BL.numpy(), ((0, 0), (0, 2)))
    for row in range(2):
        for place in range(5):
            a, b, c = padded[row, place : place + 3]
            assert torch.equal(x_BLE[row, place], embedding.weight[(a * 27 + b) * 27 + c])
    assert (x_BLE[1, 2:] == 0).all()
    assert (x_BLE[1, :2] != 0).any(dim=1).all()


def test_blosum62_is_that_of_biopython_and_ambiguous_letters_are_means(alphabet):
    matrix = substitution_matrices.load("BLOSUM62")
    table_VP = blosum62(alphabet)
    for letter in AMINO_ACIDS:
        expected = [matrix[letter][other] / 4 for other in AMINO_ACIDS]
        np.testing.assert_allclose(table_VP[alphabet.encode(letter)[0]], expected)
    b, d, n = (table_VP[alphabet.encode(letter)[0]] for letter in "BDN")
    torch.testing.assert_close(b, (d + n) / 2)
    assert (table_VP[0] == 0).all()


def test_hydropathy_is_biopythons_up_to_standardisation(alphabet):
    table_VP = physicochemical(alphabet)
    ours = [float(table_VP[alphabet.encode(letter)[0], 0]) for letter in AMINO_ACIDS]
    theirs = [kd[letter] for letter in AMINO_ACIDS]
    assert np.corrcoef(ours, theirs)[0, 1] == pytest.approx(1.0, abs=1e-6)
    torch.testing.assert_close(table_VP[alphabet.encode("X")[0], :3], torch.zeros(3), atol=1e-6, rtol=0)


def test_charge_is_that_at_ph_7_by_biopythons_constants(alphabet):
    charge_of = dict.fromkeys(AMINO_ACIDS, 0.0)
    for letter in AMINO_ACIDS:
        if letter in positive_pKs:
            charge_of[letter] = 1 / (1 + 10 ** (7 - positive_pKs[letter]))
        if letter in negative_pKs:
            charge_of[letter] = -1 / (1 + 10 ** (negative_pKs[letter] - 7))
    ours = physicochemical(alphabet)[alphabet.encode(AMINO_ACIDS).astype(int), 3]
    np.testing.assert_allclose(ours, [charge_of[letter] for letter in AMINO_ACIDS], atol=0.02)


def test_polarity_and_volume_give_the_distances_that_grantham_printed():
    # Composition is the third of his properties; these are his distances from serine.
    composition_of = {"S": 1.42, "R": 0.65, "P": 0.39, "T": 0.71, "G": 0.74, "Y": 0.20, "C": 2.75, "H": 0.58, "Q": 0.89}
    composition_of |= {"N": 1.33, "K": 0.33, "D": 1.38, "E": 0.92, "W": 0.13}
    printed = {"R": 110, "L": 145, "P": 74, "T": 58, "A": 99, "V": 124, "G": 56, "I": 142, "F": 155, "Y": 144, "C": 112}
    printed |= {"H": 89, "Q": 68, "N": 46, "K": 121, "D": 65, "E": 80, "M": 135, "W": 177, "S": 0}
    composition = np.array([composition_of.get(letter, 0.0) for letter in AMINO_ACIDS])
    serine = AMINO_ACIDS.index("S")
    squares = sum(
        weight * (np.array(values) - values[serine]) ** 2
        for weight, values in ((1.833, composition), (0.1018, _POLARITY), (0.000399, _VOLUME))
    )
    np.testing.assert_allclose(50.723 * np.sqrt(squares), [printed[letter] for letter in AMINO_ACIDS], atol=1.0)


@pytest.mark.parametrize("properties", [blosum62, physicochemical])
def test_an_ambiguous_letter_has_the_mean_of_its_residues(alphabet, properties):
    table_VP = properties(alphabet)
    for letter, meant in {"B": "DN", "J": "IL", "Z": "EQ", "X": AMINO_ACIDS, "O": "K", "U": "C"}.items():
        expected = table_VP[alphabet.encode(meant).astype(int)].mean(dim=0)
        torch.testing.assert_close(table_VP[alphabet.encode(letter)[0]], expected)


@pytest.mark.parametrize("properties", [one_hot, blosum62, physicochemical])
def test_fixed_properties_are_not_trained_and_padding_is_zero(alphabet, properties):
    embedding = FixedEmbedding(properties(alphabet), 6)
    x_BLE = embedding(torch.tensor([[1, 26, 0]]))
    assert x_BLE.shape == (1, 3, 6)
    assert (x_BLE[0, 2] == 0).all()
    assert [name for name, _ in embedding.named_parameters()] == ["project.weight"]


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
