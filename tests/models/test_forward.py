"""Batches: every sequence once, never over the budget; scoring when memory runs out: smaller ones, the same numbers."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import SMALL
from tfclass.errors import MemoryLimitError
from tfclass.models.factory import build
from tfclass.models.forward import collate, logits_of, longest_first_batches, scores_of, shuffled_batches

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


@pytest.fixture
def model(alphabet):
    torch.manual_seed(0)
    return build(replace(SMALL, dropout=0.0, families=("a", "b", "c"), domains=True), alphabet, 2)


@pytest.fixture
def proteins():
    rng = np.random.default_rng(0)
    return [rng.integers(1, 27, length).astype(np.uint8) for length in rng.integers(1, 60, 50)]


def small_memory(model, limit, error):
    """Let the model fail on more than `limit` padded residues; gives the sizes that it was asked for."""
    asked = []

    def check(asking, arguments):
        asked.append(arguments[0].numel())
        # A copy of the model is one on another device, with memory of its own.
        if asked[-1] > limit and asking is model.embedding:
            raise error

    # Words are looked up in tables on the CPU; without them the embedding is asked.
    model.lookup = lambda: None
    model.embedding.register_forward_pre_hook(check)
    return asked


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory: 1 GB")],
    ids=["on a GPU", "on the CPU"],
)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_too_large_for_memory_is_halved_until_it_fits(model, proteins, error, threads):
    expected = logits_of(model, proteins, 4000)
    asked = small_memory(model, 300, error)
    torch.set_num_threads(threads)
    try:
        found = logits_of(model, proteins, 4000)
    finally:
        torch.set_num_threads(1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert max(asked) > 300
    assert sum(size <= 300 for size in asked) > 5


def test_a_protein_too_long_for_memory_raises_one_line(model, proteins):
    small_memory(model, 30, torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(
        MemoryLimitError, match=r"a protein of \d+ residues, too long for the memory of cpu; use a machine"
    ):
        logits_of(model, proteins, 100)


def test_a_protein_too_long_for_the_device_is_scored_on_the_cpu_on_request(model, proteins):
    expected = logits_of(model, proteins, 4000)
    small_memory(model, 30, torch.OutOfMemoryError("CUDA out of memory"))
    found = scores_of(model, proteins, 4000, cpu_fallback=True).logits_NC
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_all_heads_are_scored_alike_in_halves_and_on_the_cpu(model, proteins):
    expected = scores_of(model, proteins, 4000)
    asked = small_memory(model, 60, torch.OutOfMemoryError("CUDA out of memory"))
    found = scores_of(model, [*proteins, np.ones(70, np.uint8)], 4000, cpu_fallback=True)
    assert max(asked) > 60
    np.testing.assert_allclose(found.logits_NC[:-1], expected.logits_NC, atol=1e-6)
    np.testing.assert_allclose(found.family_NK[:-1], expected.family_NK, atol=1e-6)
    assert [len(domain_L) for domain_L in found.domains] == [*map(len, proteins), 70]
    np.testing.assert_allclose(np.concatenate(found.domains[:-1]), np.concatenate(expected.domains), atol=1e-6)


def test_a_network_without_the_heads_gives_classes_only(alphabet, proteins):
    scores = scores_of(build(SMALL, alphabet, 2), proteins, 4000)
    assert scores.family_NK is None
    assert scores.domains is None


def test_other_errors_are_not_taken_for_a_lack_of_memory(model, proteins):
    small_memory(model, 30, RuntimeError("shape mismatch"))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        logits_of(model, proteins, 100)


def test_batches_are_scored_in_parallel_and_the_number_of_threads_is_restored(model, proteins):
    inside, together, threads = [], [], set()

    def enter(*_):
        inside.append(None)
        threads.add(threading.get_ident())
        time.sleep(0.02)
        together.append(len(inside))

    model.pooling.register_forward_pre_hook(enter)
    model.pooling.register_forward_hook(lambda *_: inside.pop() and None)
    torch.set_num_threads(3)
    try:
        logits_of(model, proteins, 60)
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as pool:
            # What a thread begins with is the last number that was set anywhere.
            assert pool.submit(torch.get_num_threads).result() == 3
    finally:
        torch.set_num_threads(1)
    assert max(together) > 1
    assert len(threads) == 3
    threads.clear()
    logits_of(model, proteins, 60)
    assert threads == {threading.get_ident()}


def test_no_batch_starts_after_a_failure(model, proteins):
    asked = small_memory(model, 0, RuntimeError("shape mismatch"))
    torch.set_num_threads(2)
    try:
        with pytest.raises(RuntimeError, match="shape mismatch"):
            logits_of(model, proteins * 20, 60)
    finally:
        torch.set_num_threads(1)
    assert 0 < len(asked) < 500


def test_bfloat16_changes_the_logits_a_little(model, proteins):
    exact, coarse = (scores_of(model, proteins, 4000, precision).logits_NC for precision in ("float32", "bf16"))
    assert 0 < np.abs(exact - coarse).max() < 0.02
