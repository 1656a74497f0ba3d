"""Scoring when memory runs out: smaller batches, the same numbers."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import SMALL
from tfclass.errors import MemoryLimitError
from tfclass.models.factory import build
from tfclass.models.forward import logits_of, scores_of


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
