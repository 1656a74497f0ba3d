"""Batches: every sequence once, never over the budget, little padding, and one source of randomness."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tfclass.sequences.batching import collate, longest_first_batches, shuffled_batches

LENGTHS = st.lists(st.integers(1, 400), max_size=120)
BUDGET = st.integers(1, 2000)


def both(lengths, budget, seed=0):
    yield longest_first_batches(lengths, budget)
    yield shuffled_batches(lengths, budget, np.random.default_rng(seed))


@settings(max_examples=100, deadline=None)
@given(lengths=LENGTHS, budget=BUDGET)
def test_every_index_comes_exactly_once(lengths, budget):
    for batches in both(lengths, budget):
        assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))


@settings(max_examples=100, deadline=None)
@given(lengths=LENGTHS, budget=BUDGET)
def test_the_budget_holds_except_for_a_lone_sequence_that_is_longer(lengths, budget):
    for batches in both(lengths, budget):
        for batch in batches:
            padded = len(batch) * max(lengths[i] for i in batch)
            assert padded <= budget or len(batch) == 1


@settings(max_examples=50, deadline=None)
@given(lengths=LENGTHS, budget=BUDGET)
def test_the_longest_come_first_and_ties_keep_their_order(lengths, budget):
    order = [i for batch in longest_first_batches(lengths, budget) for i in batch.tolist()]
    assert order == sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))


@settings(max_examples=50, deadline=None)
@given(lengths=LENGTHS, budget=BUDGET)
def test_no_batch_could_have_taken_one_sequence_more(lengths, budget):
    batches = longest_first_batches(lengths, budget)
    assert all((len(batch) + 1) * lengths[batch[0]] > budget for batch in batches[:-1])


def realistic(n=6000):
    """Lengths like those of Swiss-Prot: log-normal around 300 residues."""
    return np.random.default_rng(0).lognormal(5.7, 0.65, n).astype(int).clip(20, 5000)


def test_the_generator_decides_the_shuffled_batches():
    first, again, other = (shuffled_batches(realistic(), 16384, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert [b.tolist() for b in first] == [b.tolist() for b in again]
    assert [b.tolist() for b in first] != [b.tolist() for b in other]


def test_two_epochs_of_one_generator_have_other_batches_in_another_order():
    rng = np.random.default_rng(1)
    lengths = realistic()
    first, second = ({frozenset(b.tolist()) for b in shuffled_batches(lengths, 4096, rng)} for _ in range(2))
    assert len(first & second) < 0.2 * len(first)


def test_shuffled_batches_do_not_come_sorted_by_length():
    lengths = realistic()
    longest = [lengths[batch].max() for batch in shuffled_batches(lengths, 16384, np.random.default_rng(0))]
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.35


@pytest.mark.parametrize(
    ("shuffled", "most"), [(False, 0.03), (True, 0.10)], ids=["longest first under 3 %", "shuffled under 10 %"]
)
def test_padding_is_little_on_realistic_lengths(shuffled, most):
    lengths = realistic()
    batches = list(both(lengths, 16384))[shuffled]
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert 1 - lengths.sum() / padded < most


def test_without_sequences_there_is_no_batch():
    assert [list(batches) for batches in both([], 100)] == [[], []]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(1, 26), min_size=1, max_size=40), min_size=1, max_size=12))
def test_collating_equals_writing_each_token_in_its_place(sequences):
    batch = collate([np.array(s, dtype=np.uint8) for s in sequences])
    longest = max(map(len, sequences))
    assert batch.tokens_BL.tolist() == [s + [0] * (longest - len(s)) for s in sequences]
    assert batch.lengths_B.tolist() == [len(s) for s in sequences]
    assert batch.tokens_BL.dtype == batch.lengths_B.dtype == torch.int64


def test_moving_a_batch_keeps_both_parts_on_the_device():
    moved = collate([np.array([1, 2], dtype=np.uint8)]).to(torch.device("meta"))
    assert {moved.tokens_BL.device.type, moved.lengths_B.device.type} == {"meta"}
