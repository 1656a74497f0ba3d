"""Noise on residues: how much of it, where, and that substitutions between homologues are the likely ones."""

import itertools

import numpy as np
import pytest
import torch
from Bio.Align import substitution_matrices

from tfclass.sequences.alphabet import AMINO_ACIDS, PAD
from tfclass.training.augmentation import drop_residues, substitute_residues, substitutions


def rng():
    return np.random.default_rng(5)


@pytest.fixture
def tokens_BL():
    tokens_BL = torch.from_numpy(np.random.default_rng(0).integers(1, 27, (300, 200)))
    tokens_BL[:, 150:] = PAD
    return tokens_BL


def test_dropped_residues_are_x_and_as_many_as_p_says(tokens_BL, alphabet):
    dropped_BL = drop_residues(tokens_BL, 0.25, alphabet, rng())
    changed_BL = dropped_BL != tokens_BL
    assert (dropped_BL[changed_BL] == alphabet.unknown).all()
    assert (dropped_BL[:, 150:] == PAD).all()
    known_BL = (tokens_BL != PAD) & (tokens_BL != alphabet.unknown)
    assert changed_BL[known_BL].float().mean() == pytest.approx(0.25, abs=0.01)


def test_substituted_residues_are_other_amino_acids_and_as_many_as_p_says(tokens_BL):
    substituted_BL = substitute_residues(tokens_BL, 0.25, rng())
    changed_BL = substituted_BL != tokens_BL
    amino_acid_BL = (tokens_BL != PAD) & (tokens_BL <= 20)
    assert not changed_BL[~amino_acid_BL].any()
    assert ((substituted_BL[changed_BL] >= 1) & (substituted_BL[changed_BL] <= 20)).all()
    assert changed_BL[amino_acid_BL].float().mean() == pytest.approx(0.25, abs=0.01)


def test_substitutions_come_as_often_as_the_table_says():
    tokens_BL = torch.full((200, 1000), AMINO_ACIDS.index("K") + 1)
    drawn = np.bincount(substitute_residues(tokens_BL, 1.0, rng()).flatten().numpy() - 1, minlength=20)
    np.testing.assert_allclose(drawn / drawn.sum(), substitutions()[AMINO_ACIDS.index("K")], atol=0.003)


def test_the_table_is_blosum62_turned_back_into_frequencies():
    matrix = substitution_matrices.load("BLOSUM62")
    table = substitutions()
    np.testing.assert_allclose(table.sum(axis=1), 1.0)
    assert (np.diag(table) == 0).all()
    # What may replace both A and W differs, from one row to the other, by the scores alone: frequencies drop out.
    for first, second in itertools.combinations(range(1, 18), 2):
        (a, w, x, y) = "A", "W", AMINO_ACIDS[first], AMINO_ACIDS[second]
        odds = table[0, first] / table[0, second] / (table[18, first] / table[18, second])
        assert 2 * np.log2(odds) == pytest.approx(matrix[a][x] - matrix[a][y] - matrix[w][x] + matrix[w][y])


@pytest.mark.parametrize("noise", ["dropped", "substituted"])
def test_the_same_seed_gives_the_same_noise_and_none_leaves_the_batch_alone(noise, tokens_BL, alphabet):
    def noisy(share):
        if noise == "dropped":
            return drop_residues(tokens_BL, share, alphabet, rng())
        return substitute_residues(tokens_BL, share, rng())

    assert torch.equal(noisy(0.25), noisy(0.25))
    assert noisy(0.0) is tokens_BL
