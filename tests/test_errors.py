"""A message is one line, and nothing in it moves a terminal."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from tfclass.errors import FastaError, MemoryLimitError, TfclassError


@given(st.text())
def test_whatever_it_holds_a_message_is_one_line_without_control_characters(text):
    message = str(TfclassError(text))
    assert not [letter for letter in message if ord(letter) < 32 or 127 <= ord(letter) < 160]


def test_what_cannot_be_printed_is_shown_as_python_writes_it():
    error = FastaError("a\x1b[31m.fasta: found tab\there; expected some\n  thing")
    assert str(error) == r"a\x1b[31m.fasta: found tab\there; expected some thing"


def test_the_length_of_a_protein_survives_the_way_between_processes():
    error = pickle.loads(pickle.dumps(MemoryLimitError("scoring: found a protein of 9 residues", residues=9)))  # noqa: S301
    assert (str(error), error.residues) == ("scoring: found a protein of 9 residues", 9)
