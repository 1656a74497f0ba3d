"""Embeddings against Biopython's own tables and a loop over words."""

import numpy as np
import pytest
import torch
from Bio.Align import substitution_matrices
from Bio.SeqUtils.ProtParamData import kd

from tfclass.networks.embeddings import FixedEmbedding, WordEmbedding, blosum62, one_hot, physicochemical
from tfclass.sequence.vocabulary import AMINO_ACIDS


def test_words_equal_a_loop_and_short_sequences_have_words_too(vocabulary):
    torch.manual_seed(0)
    embedding = WordEmbedding(vocabulary, dim=4, k=3)
    tokens_BL = torch.tensor([[5, 9, 1, 26, 3], [7, 2, 0, 0, 0]])
    x_BLE = embedding(tokens_BL)
    padded = np.pad(tokens_BL.numpy(), ((0, 0), (0, 2)))
    for row in range(2):
        for place in range(5):
            a, b, c = padded[row, place : place + 3]
            assert torch.equal(x_BLE[row, place], embedding.weight[(a * 27 + b) * 27 + c])
    assert (x_BLE[1, 2:] == 0).all()
    assert (x_BLE[1, :2] != 0).any(dim=1).all()


def test_blosum62_is_biopythons_and_ambiguous_letters_are_the_mean_of_their_meanings(vocabulary):
    matrix = substitution_matrices.load("BLOSUM62")
    table_VP = blosum62(vocabulary)
    for letter in AMINO_ACIDS:
        expected = [matrix[letter][other] / 4 for other in AMINO_ACIDS]
        np.testing.assert_allclose(table_VP[vocabulary.encode(letter)[0]], expected)
    b, d, n = (table_VP[vocabulary.encode(letter)[0]] for letter in "BDN")
    torch.testing.assert_close(b, (d + n) / 2)
    assert (table_VP[0] == 0).all()


def test_hydropathy_is_biopythons_up_to_standardisation(vocabulary):
    table_VP = physicochemical(vocabulary)
    ours = [float(table_VP[vocabulary.encode(letter)[0], 0]) for letter in AMINO_ACIDS]
    theirs = [kd[letter] for letter in AMINO_ACIDS]
    assert np.corrcoef(ours, theirs)[0, 1] == pytest.approx(1.0, abs=1e-6)
    torch.testing.assert_close(table_VP[vocabulary.encode("X")[0], :3], torch.zeros(3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("properties", [one_hot, blosum62, physicochemical])
def test_fixed_properties_are_not_trained_and_padding_is_zero(vocabulary, properties):
    embedding = FixedEmbedding(properties(vocabulary), 6)
    x_BLE = embedding(torch.tensor([[1, 26, 0]]))
    assert x_BLE.shape == (1, 3, 6)
    assert (x_BLE[0, 2] == 0).all()
    assert [name for name, _ in embedding.named_parameters()] == ["project.weight"]
