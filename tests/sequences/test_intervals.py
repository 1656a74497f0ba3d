"""Ranges of residues against sets of them."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from tfclass.sequences.alphabet import merged


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 6)).map(lambda place: (place[0], sum(place)))))
def test_merged_ranges_cover_the_same_residues_and_lie_apart(ranges):
    found = merged(ranges)
    covered = {residue for start, end in ranges for residue in range(start, end + 1)}
    assert [residue for start, end in found for residue in range(start, end + 1)] == sorted(covered)
    assert all(start > before + 1 for (_, before), (start, _) in itertools.pairwise(found))
