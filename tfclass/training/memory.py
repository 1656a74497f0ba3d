"""Check that a training fits into memory before anything is allocated; one plain error when memory runs out."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import torch

from tfclass.config import ModelConfig
from tfclass.environment import is_out_of_memory
from tfclass.errors import ConfigError, MemoryLimitError
from tfclass.limits import in_words
from tfclass.models.factory import DIRECTIONS

# Of a value, at least: 16 bits with `training.amp`.
_BYTES = 2
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def memory_of(device: torch.device) -> int:
    """Return the most bytes that this process can have: the memory of a GPU, or the limits of the system."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    limits = [psutil.virtual_memory().total]
    if _CGROUP.exists() and (text := _CGROUP.read_text().strip()).isdigit():
        limits.append(int(text))
    if sys.platform != "win32":
        import resource

        allowed, _ = resource.getrlimit(resource.RLIMIT_AS)
        limits += [allowed] if allowed != resource.RLIM_INFINITY else []
    return min(limits)


def check_batches(
    model: ModelConfig, max_residues: int, n_residues: int, device: torch.device, n_processes: int = 1
) -> None:
    """Refuse a batch that certainly needs more memory than there is.

    Parameters
    ----------
    max_residues : int
        Padded residues (sequences x longest) in a batch, as configured.
    n_residues : int
        Those of the whole training split, which a batch cannot exceed.
    n_processes : int
        That share a batch.

    Raises
    ------
    ConfigError
        The batch needs more.
    """
    limit, residues = memory_of(device), min(max_residues, n_residues) // n_processes
    needed = _BYTES * values_per_residue(model) * residues
    if needed > limit:
        raise ConfigError(
            f"training.max_residues: found {max_residues}, which makes a batch of {residues:,} residues take at least "
            f"{in_words(needed)}; expected at most {in_words(limit)}, the memory of {device.type}; "
            "lower it, or choose smaller widths or fewer layers"
        )


def values_per_residue(config: ModelConfig) -> int:
    """Return the fewest values that training keeps for each residue of a batch, until the gradient is computed."""
    stem, inside, width, pool = config.stem, 0, config.embedding_dim, 1
    if stem.name != "none":
        width, pool = stem.channels * (len(stem.stacks) if stem.name == "stacks" else 1), stem.pool
    if stem.name == "stacks":
        inside = stem.channels * sum(map(len, stem.stacks))
    directions = DIRECTIONS.get(config.encoder, config.directions or 2)
    return config.embedding_dim + inside + width + config.layers * directions * config.hidden // pool


@contextlib.contextmanager
def memory_limit_named(max_residues: int) -> Iterator[None]:
    """Raise `MemoryLimitError` for every error about a lack of memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise MemoryLimitError(
            f"training: found too little memory; try a training.max_residues below {max_residues}, or a smaller network"
        ) from error
