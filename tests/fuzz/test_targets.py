"""A short search of what ``make fuzz`` searches for longer: bytes near good ones break no reader."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

# Examples of a search, by what one takes: a bundle is read in 0.1 s, overrides are composed in 0.3 s.
EXAMPLES = {"fasta": 60, "table": 60, "bundle": 8, "config": 30, "overrides": 2}


@pytest.fixture(scope="module")
def folder(with_homology_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    shutil.copytree(with_homology_folder, folder / "bundle")
    return folder


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_reach_the_end_of_the_reader(name, folder):
    # Where most of them were refused at the start, nothing near them would get further.
    outcomes = [TARGETS[name](seed, folder) for seed in TARGETS[name].seeds(folder)]
    assert outcomes.count(None) > len(outcomes) / 2, outcomes


@pytest.mark.parametrize("name", TARGETS)
def test_bytes_near_good_ones_are_read_or_refused_in_one_line(name, folder):
    seeds = TARGETS[name].seeds(folder)

    @settings(max_examples=EXAMPLES[name], deadline=None, suppress_health_check=[*HealthCheck])
    @given(st.sampled_from(seeds), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.binary(max_size=9))))
    def search(seed, edits):
        for share, length, put in edits:
            place = int(share * len(seed))
            seed = seed[:place] + put + seed[place + length :]
        # Raises whatever is not an error of tfclass in one line.
        TARGETS[name](seed, folder)

    search()
