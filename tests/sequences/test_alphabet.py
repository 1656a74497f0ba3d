"""Letters and tokens."""

import copy
import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfclass.errors import ResidueError
from tfclass.sequences.alphabet import GAP, ILLEGAL, PAD, STOP, Alphabet

LETTERS = "ACDEFGHIKLMNPQRSTVWYBJOUXZ"
residues = st.text(LETTERS + LETTERS.lower())


def test_there_are_26_letters_and_padding_is_token_0(alphabet):
    assert alphabet.size == 27
    assert PAD == 0
    assert alphabet.decode(np.zeros(3, np.uint8)) == "---"


def test_the_tokens_of_the_letters_are_fixed_for_good(alphabet):
    # Trained weights depend on this order.
    assert dict(zip(LETTERS, alphabet.encode(LETTERS).tolist(), strict=True)) == {
        letter: i for i, letter in enumerate("ACDEFGHIKLMNPQRSTVWYBJOUXZ", start=1)
    }
    assert alphabet.unknown == alphabet.encode("X")[0]


@pytest.mark.parametrize("letter", LETTERS)
def test_a_letter_comes_back_and_its_lower_case_is_the_same_residue(alphabet, letter):
    assert alphabet.decode(alphabet.encode(letter)) == letter
    assert alphabet.decode(alphabet.encode(letter.lower())) == letter


@given(residues)
def test_every_sequence_comes_back_in_upper_case(alphabet, sequence):
    tokens = alphabet.encode(sequence)
    assert tokens.dtype == np.uint8
    assert tokens.shape == (len(sequence),)
    assert alphabet.decode(tokens) == sequence.upper()


@given(st.text(st.characters(), max_size=50))
def test_any_text_has_one_code_per_character(alphabet, text):
    special = {"-": GAP, ".": GAP, "*": STOP}
    expected = [
        LETTERS.index(c.upper()) + 1 if c.isascii() and c.upper() in LETTERS else special.get(c, ILLEGAL) for c in text
    ]
    assert alphabet.codes(text).tolist() == expected


@pytest.mark.parametrize(
    ("sequence", "position", "shown"),
    [("1MK", 1, "'1'"), ("MK-V", 3, "'-'"), ("MKV*", 4, "'*'"), ("MéV", 2, "'é'"), ("M\tV1", 2, r"'\t'")],
    ids=["a digit", "a gap", "a stop", "an accented letter", "a tab before a digit"],
)
def test_a_letter_that_is_no_residue_is_refused_with_its_position(alphabet, sequence, position, shown):
    with pytest.raises(ResidueError) as caught:
        alphabet.encode(sequence)
    assert str(caught.value) == f"position {position}: found {shown}; expected one of {LETTERS}"


def test_the_table_cannot_be_changed(alphabet):
    with pytest.raises(ValueError, match="read-only"):
        alphabet._table[65] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        alphabet.letters = "ACGT"


def test_changing_a_result_does_not_change_later_results(alphabet):
    alphabet.codes("ACD")[:] = 9
    assert alphabet.encode("ACD").tolist() == [1, 2, 3]


def test_alphabets_are_equal_when_their_letters_are():
    assert Alphabet() == Alphabet()
    assert hash(Alphabet()) == hash(Alphabet())
    assert copy.deepcopy(Alphabet()) == Alphabet()
    assert Alphabet() != Alphabet("ACX")
    assert len({Alphabet(), Alphabet(), Alphabet("ACX")}) == 2
