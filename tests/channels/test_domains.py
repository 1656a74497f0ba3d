"""Where domains are called, held against a rule that is applied letter by letter."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfclass.channels.network import SHORTEST_DOMAIN, SHORTEST_GAP, domain_cell, domain_ranges
from tfclass.sequences.alphabet import Alphabet, clean

ALPHABET = Alphabet()
# Runs of every length that matters, inside and outside of domains by turns.
runs = st.lists(st.integers(1, SHORTEST_DOMAIN + 4), max_size=12)


def logits(runs, first_inside):
    signs = [1.0 if (number % 2 == 0) == first_inside else -1.0 for number in range(len(runs))]
    return np.repeat(signs, runs) * np.random.default_rng(0).random(sum(runs))


def by_letters(logit_L):
    """The rule as regular expressions on a text of d (domain) and o (other)."""
    text = "".join("d" if logit >= 0 else "o" for logit in logit_L)
    closed = re.sub(f"(?<=d)o{{1,{SHORTEST_GAP - 1}}}(?=d)", lambda gap: "d" * len(gap[0]), text)
    return [(m.start() + 1, m.end()) for m in re.finditer(f"d{{{SHORTEST_DOMAIN},}}", closed)]


@given(runs, st.booleans())
def test_domains_are_those_of_the_rule_applied_letter_by_letter(runs, first_inside):
    logit_L = logits(runs, first_inside)
    assert domain_ranges(logit_L) == by_letters(logit_L)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("o" * 20, []),
        ("d" * 9, []),
        ("d" * 10, [(1, 10)]),
        ("ooo" + "d" * 12, [(4, 15)]),
        ("d" * 12 + "oooo" + "d" * 3, [(1, 19)]),
        ("d" * 12 + "ooooo" + "d" * 12, [(1, 12), (18, 29)]),
        ("ddddoddddodd", [(1, 12)]),
    ],
    ids=["nothing", "none", "too short", "just long enough", "up to the end", "a gap that is closed"]
    + ["a gap that stays", "short runs close together"],
)
def test_domains_of(text, expected):
    assert domain_ranges(np.array([1.0 if letter == "d" else -1.0 for letter in text])) == expected


def test_a_logit_of_zero_is_inside():
    assert domain_ranges(np.zeros(10)) == [(1, 10)]


@given(st.text("ACDXU-.*", max_size=80), runs)
def test_positions_are_those_of_the_characters_as_given(sequence, runs):
    tokens = clean(sequence, ALPHABET).tokens
    logit_L = np.resize(logits(runs or [1], True), len(tokens))
    cell = domain_cell(logit_L, sequence, ALPHABET)
    found = [tuple(map(int, part.split("-"))) for part in cell.split(";")] if cell else []
    # Each residue that is scored, with its place in the text: a final stop and every gap have none.
    last = max((place for place, letter in enumerate(sequence, start=1) if letter not in "-.*"), default=0)
    places = [place for place, letter in enumerate(sequence[:last], start=1) if letter not in "-."]
    assert len(places) == len(tokens)
    assert found == [(places[start - 1], places[end - 1]) for start, end in by_letters(logit_L)]


def test_a_cell_has_gaps_inside_a_domain_and_not_around_it():
    assert domain_cell(np.ones(12), "--ACDEF-GHIKLMN--*", ALPHABET) == "3-15"
    assert domain_cell(-np.ones(3), "ACD", ALPHABET) is None
