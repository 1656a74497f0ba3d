"""The machine: device, threads, seeds, memory, and a description of all of it for the record."""

import errno
import os
import platform
import re
from importlib import metadata
from typing import TYPE_CHECKING, Any

from tfclass.errors import ConfigError, MemoryLimitError, TfclassError

try:
    # With no memory left it could not be loaded any more.
    import resource
except ModuleNotFoundError:
    # Windows has no such limits.
    resource = None

if TYPE_CHECKING:
    import torch

    from tfclass.config import RuntimeConfig

_REPORTED = ("tfclass", "torch", "numpy", "pandas", "scikit-learn", "biopython", "mlflow", "hydra-core", "safetensors")
# Below this much address space torch does not start, and some of its libraries end the process or wait for ever.
MIN_ADDRESS_SPACE = 900 * 2**20
# How the loader of the system, Python, torch and oneDNN (of a size beyond its own limit) word a lack of memory.
_OUT_OF_MEMORY = re.compile(
    r"failed to map segment|cannot allocate memory|can't allocate memory|can't start new thread|not enough memory"
    r"|out of memory|std::bad_alloc|unable to allocate|could not create a primitive",
    re.IGNORECASE,
)
_RAISE_LIMIT = "raise the limit (ulimit -v, or that of the batch system)"


def prepare(config: "RuntimeConfig") -> "torch.device":
    """Set threads, seeds and determinism, and choose the device; `ConfigError` as in `prepare_torch`."""
    import torch

    if config.deterministic:
        # Read by cuBLAS when CUDA starts, hence before anything else.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # An earlier training of this process may have asked for the other; torch loads its compiler for this.
    if config.deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(config.deterministic)
    torch.manual_seed(config.seed)
    return prepare_torch(config.device, config.threads)


def prepare_torch(device: str, threads: int) -> "torch.device":
    """Set the threads of this process, and choose the device.

    Parameters
    ----------
    device : {'auto', 'cpu', 'cuda'}
        ``auto``: a GPU where there is one.
    threads : int
        CPU threads, at most one per core; 0 changes nothing.

    Raises
    ------
    ConfigError
        There is no such device, or no such number of threads.
    """
    import torch

    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"device: found {device!r}; expected auto, cpu or cuda")
    if threads < 0:
        raise ConfigError(f"threads: found {threads}; expected 0 or more")
    # Read by torch with its first tensor: large ones lie on huge pages where Linux has them, and are cheaper to touch.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if threads:
        torch.set_num_threads(at_most_cores(threads))
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ConfigError("device: found 'cuda', but no CUDA device is there; expected cpu or auto")
    return torch.device("cuda" if available and device != "cpu" else "cpu")


def describe(device: "torch.device") -> dict[str, Any]:
    """List versions and hardware, as JSON values."""
    import torch

    packages = {name: each.version for name in _REPORTED for each in metadata.distributions(name=name)}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        # A training needs neither MLflow nor Hydra, if it is started from Python and tracked nowhere.
        "packages": packages,
    }


def available_cores() -> int:
    """Return the number of cores that this process may use; a container often has fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def at_most_cores(n: int) -> int:
    """Return `n`, but at most the cores of the machine: more threads or workers only take memory."""
    return min(n, os.cpu_count() or 1)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception, of whichever library, means that there was not enough memory."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    # Our own errors may quote a file.
    return not isinstance(error, TfclassError) and _OUT_OF_MEMORY.search(str(error)) is not None


def memory_error(error: BaseException) -> MemoryLimitError | None:
    """Return the error to report where an exception, or one that led to it, means a lack of memory; else None."""
    cause: BaseException | None = error
    while cause is not None and not is_out_of_memory(cause):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    found, limit = "memory: found not enough for this command", address_space()
    if limit is None:
        return MemoryLimitError(f"{found}; use a machine with more, or smaller inputs")
    return MemoryLimitError(f"{found} (the address space is limited to {limit // 2**20:,} MB); {_RAISE_LIMIT}")


def check_address_space() -> None:
    """Raise `MemoryLimitError` where the limit of the address space is too low to load the libraries."""
    limit = address_space()
    if limit is not None and limit < MIN_ADDRESS_SPACE:
        found = f"memory: found an address space limited to {limit // 2**20:,} MB"
        raise MemoryLimitError(f"{found}; expected at least {MIN_ADDRESS_SPACE // 2**20:,} MB; {_RAISE_LIMIT}")


def address_space() -> int | None:
    """Return the limit of the address space of this process in bytes; None where there is none."""
    if resource is None:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit
