"""A message is one line, and nothing in it moves a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from tfclass.errors import FastaError, TfclassError


@given(st.text(), st.text(), st.text(), st.text())
def test_whatever_its_parts_hold_a_message_is_one_line_without_control_characters(where, found, expected, action):
    message = str(TfclassError(where, found, expected, action))
    assert not [letter for letter in message if ord(letter) < 32 or 127 <= ord(letter) < 160]


def test_what_cannot_be_printed_is_shown_as_python_writes_it():
    error = FastaError("a\x1b[31m.fasta", "tab\there", "some\n  thing")
    assert str(error) == r"a\x1b[31m.fasta: found tab\there; expected some thing"
    assert error.where == "a\x1b[31m.fasta"
