"""Training in several processes, as ``torchrun`` starts them: each computes the gradient of its part of every batch.

Batches, augmentation, losses and learning rate are those of a single process, and so are the results, up to rounding;
only dropout draws other numbers. Every process has the whole corpus and the whole network; torch's
``DistributedDataParallel`` [1]_ adds up the gradients of all parts, so all take the same step. The first process alone
writes: run folder, checkpoints, bundle, MLflow.

References
----------
.. [1] S. Li et al., "PyTorch Distributed: experiences on accelerating data parallel training", VLDB 2020,
   10.14778/3415478.3415530.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch import distributed as dist

from tfclass.errors import ConfigError, NonFiniteLossError, TfclassError, WorkerError
from tfclass.models.forward import Scores, longest_first_batches, scores_of
from tfclass.models.network import Classifier, HeadLogits
from tfclass.typing import IntArray, TokenArray

T = TypeVar("T")
# How long the others wait for the first one, which may learn the vectors of k-mers before the first step.
_PATIENCE = timedelta(days=1)
_INTERRUPTED = 130


class Part(NamedTuple):
    """The proteins of a batch that a process computes; the factor that makes the mean over processes their sum."""

    rows: slice
    factor: int


class Processes:
    """The processes of a training, seen from one of them; by default there is no other.

    Parameters
    ----------
    rank : int
        Number of this process, from 0.
    size : int
        Number of processes.
    local_rank : int
        Number of this process on its machine, and of its GPU.
    group : ProcessGroup, optional
        All of them, for values on the CPU.
    """

    def __init__(
        self, rank: int = 0, size: int = 1, local_rank: int = 0, group: "dist.ProcessGroup | None" = None
    ) -> None:
        self.rank, self.size, self.local_rank, self._group = rank, size, local_rank, group
        self.is_first = rank == 0
        # Until then, the others hear of an error at their next `gather`.
        self.has_begun = False

    def device(self, device: torch.device) -> torch.device:
        """Return the device of this process, each a GPU of its own; `ConfigError` where there are too few."""
        if self.size == 1 or device.type == "cpu":
            return device
        n_devices = torch.cuda.device_count()
        if self.local_rank >= n_devices:
            found = f"device: found {n_devices} GPUs on this machine; expected one for each of its processes"
            raise ConfigError(f"{found}; start fewer, or add runtime.device=cpu")
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def check_batches(self, lengths: IntArray, max_residues: int) -> None:
        """Refuse batches that have fewer proteins than there are processes, on average; `ConfigError`."""
        n_proteins = len(lengths) / len(longest_first_batches(lengths, max_residues))
        if n_proteins < self.size:
            found = f"training.max_residues: found {max_residues}, which makes batches of {n_proteins:.1f} proteins"
            expected = f"expected at least one for each of {self.size} processes"
            raise ConfigError(f"{found}; {expected}; raise it, or start fewer processes")

    def begin(self, model: Classifier) -> Callable[[Tensor, Tensor], HeadLogits]:
        """Broadcast the weights of the first process; return ``all_heads``, whose gradients are means over processes.

        Raises
        ------
        SystemExit
            Another process is not ready, and has said why.
        """
        self.gather(None)
        self.has_begun = True
        if self.size == 1:
            return model.all_heads
        return nn.parallel.DistributedDataParallel(_AllHeads(model))

    def end(self) -> None:
        """Destroy the process group; every process calls this."""
        if self.size > 1:
            dist.destroy_process_group()

    def part(self, n_proteins: int) -> Part:
        """Return the part of a batch, longest proteins first, that is this process's.

        A batch of fewer proteins than processes is computed by each of them.
        """
        if n_proteins < self.size:
            return Part(slice(None), 1)
        return Part(slice(self.rank, None, self.size), self.size)

    def seed_dropout(self, *numbers: int) -> None:
        """Seed torch's generators, for each process differently; one alone goes on with what they draw."""
        if self.size > 1:
            torch.manual_seed(int(np.random.SeedSequence([*numbers, self.rank]).generate_state(1)[0]))

    def means(self, values_K: Tensor) -> list[float]:
        """Return the mean of each value over processes."""
        means_K = values_K.detach().double().cpu()
        if self.size > 1:
            dist.all_reduce(means_K, group=self._group)
            means_K /= self.size
        return means_K.tolist()

    def largest(self, value: float) -> float:
        """Return the largest of the values of all processes."""
        if self.size == 1:
            return value
        largest = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(largest, dist.ReduceOp.MAX, self._group)
        return largest.item()

    def scores(self, model: Classifier, tokens: Sequence[TokenArray], max_residues: int) -> Scores:
        """Score sequences, each process its part of them; see `scores_of`."""
        parts = self.gather(scores_of(model, tokens[self.rank :: self.size], max_residues))
        if self.size == 1:
            return parts[0]
        logits, families, domains = (_interleaved(each) for each in zip(*parts, strict=True))
        return Scores(np.array(logits), np.array(families) if families else None, domains or None)

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes.

        Raises
        ------
        SystemExit
            Another process has failed, and has said why.
        """
        return [value] if self.size == 1 else self._exchange(0, value)

    def fail(self, status: int) -> None:
        """Report an error of this process to those that `gather`; return only in the failed one of the lowest rank."""
        self._exchange(status, None)

    def _exchange(self, status: int, value: Any) -> list[Any]:  # noqa: ANN401
        told: list[Any] = [None] * self.size
        dist.all_gather_object(told, (status, value), self._group)
        failed = [rank for rank, (each, _) in enumerate(told) if each]
        if failed and failed[0] != self.rank:
            raise SystemExit(told[failed[0]][0])
        return [each for _, each in told]


class _AllHeads(nn.Module):
    """A network whose ``forward``, which torch replaces, is ``all_heads``."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens_BL: Tensor, lengths_B: Tensor) -> HeadLogits:
        return self.model.all_heads(tokens_BL, lengths_B)


def _interleaved(parts: Sequence[Any]) -> list[Any]:
    """Put every ``len(parts)``-th item from each part; an empty list where there are no parts."""
    if parts[0] is None:
        return []
    whole: list[Any] = [None] * sum(map(len, parts))
    for rank, part in enumerate(parts):
        whole[rank :: len(parts)] = part
    return whole


@contextlib.contextmanager
def process_group() -> Iterator[Processes]:
    """Join the processes that ``torchrun`` started; without it, there is one.

    An error that all of them have is raised in the first; `SystemExit`, with its status, in the others.

    Raises
    ------
    ConfigError
        The processes do not find each other.
    WorkerError
        Another process has ended before its time.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1":
        yield Processes()
        return
    processes = _join()
    try:
        with _said_once(processes):
            yield processes
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        found = f"process {processes.rank + 1} of {processes.size}: found that another one has ended"
        raise WorkerError(f"{found}; expected all of them to work; this one ends too") from error


def _join() -> Processes:
    try:
        rank, size, local_rank = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        group = dist.new_group(backend="gloo", timeout=_PATIENCE)
        return Processes(rank, size, local_rank, cast("dist.ProcessGroup", group))
    except (LookupError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        found = f"WORLD_SIZE: found several processes that do not find each other ({reason})"
        raise ConfigError(f"{found}; start them with torchrun") from error


@contextlib.contextmanager
def _said_once(processes: Processes) -> Iterator[None]:
    try:
        yield
    except (TfclassError, OSError, KeyboardInterrupt) as error:
        status = _INTERRUPTED if isinstance(error, KeyboardInterrupt) else getattr(error, "exit_code", 1)
        if not processes.has_begun:
            processes.fail(status)
        elif not processes.is_first and isinstance(error, NonFiniteLossError | KeyboardInterrupt):
            # It is the same in all of them, after the same step.
            raise SystemExit(status) from None
        raise
