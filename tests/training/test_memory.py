"""A batch that no memory holds is refused before it is made, and memory that is full is one line."""

from dataclasses import replace

import psutil
import pytest
import torch

from tfclass.config import ModelConfig, StemConfig
from tfclass.errors import ConfigError, MemoryLimitError
from tfclass.training.memory import check_batches, memory_limit_named, memory_of, values_per_residue

CPU = torch.device("cpu")


def test_values_that_training_keeps_are_counted_by_hand():
    plain = ModelConfig.default(embedding_dim=10, stem=StemConfig.default(channels=20, pool=4), hidden=8, layers=3)
    assert values_per_residue(plain) == 10 + 20 + 3 * 16 // 4
    assert values_per_residue(replace(plain, encoder="lstm")) == 10 + 20 + 3 * 8 // 4
    stacks = StemConfig.default(name="stacks", channels=5, stacks=((3, 3), (2,)), pool=2)
    assert (
        values_per_residue(ModelConfig.default(encoder="identity", embedding_dim=10, stem=stacks)) == 10 + 3 * 5 + 2 * 5
    )
    bare = ModelConfig.default(
        encoder="gru", directions=1, embedding_dim=10, stem=StemConfig.default(name="none"), hidden=8
    )
    assert values_per_residue(bare) == 10 + 10 + 8


def test_a_batch_too_large_for_memory_is_refused_with_its_size_and_the_limit():
    assert 0 < memory_of(CPU) <= psutil.virtual_memory().total
    check_batches(ModelConfig.default(), 16384, 10**12, CPU)
    # The whole split is smaller than what is asked for.
    check_batches(ModelConfig.default(), 2**31 - 1, 10**6, CPU)
    # Two bytes each of 64 + 128 + 85 values.
    with pytest.raises(ConfigError) as raised:
        check_batches(ModelConfig.default(), 2**31 - 1, 10**12, CPU)
    assert str(raised.value).startswith(
        "training.max_residues: found 2147483647, which makes a batch of 2,147,483,647 residues take at least "
        "1.1 TiB; expected at most "
    )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        torch.OutOfMemoryError("CUDA out of memory."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_every_lack_of_memory_is_one_error(error):
    words = "training: found too little memory; try a training.max_residues below 9"
    with pytest.raises(MemoryLimitError, match=words), memory_limit_named(9):
        raise error


def test_other_errors_are_raised_unchanged():
    with pytest.raises(RuntimeError, match="shapes"), memory_limit_named(9):
        raise RuntimeError("shapes")
