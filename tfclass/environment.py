"""The machine: device, threads, seeds, and a description of all of it for the record."""

import os
import platform
from importlib import metadata
from typing import Any

import torch

from tfclass.config import RuntimeConfig
from tfclass.cores import at_most_cores
from tfclass.errors import ConfigError

_REPORTED = ("tfclass", "torch", "numpy", "pandas", "scikit-learn", "biopython", "mlflow", "hydra-core", "safetensors")


def prepare(config: RuntimeConfig) -> torch.device:
    """Set threads, seeds and determinism, and choose the device.

    Parameters
    ----------
    config : RuntimeConfig
        `threads` 0 leaves torch's choice; more than the machine has cores count as all of them.

    Raises
    ------
    ConfigError
        CUDA is asked for and not there.
    """
    # Read by torch with its first tensor: large ones lie on huge pages where Linux has them, and are cheaper to touch.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    if config.deterministic:
        # Read by cuBLAS when CUDA starts, hence before anything else.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # An earlier training of this process may have asked for the other; torch loads its compiler for this.
    if config.deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(config.deterministic)
    if config.threads:
        torch.set_num_threads(at_most_cores(config.threads))
    torch.manual_seed(config.seed)
    return choose_device(config.device)


def choose_device(name: str) -> torch.device:
    """Resolve ``auto``, ``cpu`` or ``cuda``; `ConfigError` when CUDA is asked for and not there."""
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ConfigError("device", "'cuda', but no CUDA device is there", "cpu or auto", key="runtime.device")
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def describe(device: torch.device) -> dict[str, Any]:
    """List versions and hardware, as JSON values."""
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpu_count": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "packages": {name: metadata.version(name) for name in _REPORTED},
    }
