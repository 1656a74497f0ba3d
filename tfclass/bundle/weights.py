"""The weights of a network, read from the safetensors file of a bundle."""

import os
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError

from tfclass.bundle.plain_files import check_digest, opened
from tfclass.config import ModelConfig
from tfclass.environment import is_out_of_memory
from tfclass.errors import BundleError, ConfigError
from tfclass.limits import MAX_WEIGHTS_BYTES, MAX_WEIGHTS_HEADER_BYTES, in_words
from tfclass.models.factory import build, check_size
from tfclass.models.network import Classifier
from tfclass.sequences.alphabet import Alphabet

_COPIES, _SPARE_BYTES = 3, 1 << 24


def read_network(path: Path, sha256: str, config: ModelConfig, alphabet: Alphabet, n_classes: int) -> Classifier:
    """Make a network with the weights of a file.

    Parameters
    ----------
    sha256 : str
        Of the file.

    Returns
    -------
    Classifier
        On the CPU, in training mode.

    Raises
    ------
    BundleError
        The file is not what `tfclass.bundle.plain_files` allows, holds the weights of another network, or one that is
        infinite or not a number. The size is compared before anything is allocated.
    MemoryError, RuntimeError
        There is too little memory; see `tfclass.environment.is_out_of_memory`.
    """
    try:
        n_bytes = check_size(config, alphabet, n_classes)
        with opened(path, MAX_WEIGHTS_BYTES + MAX_WEIGHTS_HEADER_BYTES) as stream:
            size = os.fstat(stream.fileno()).st_size
            if not n_bytes <= size <= n_bytes + MAX_WEIGHTS_HEADER_BYTES:
                found = f"a file of {in_words(size)} for a network of {in_words(n_bytes)}"
                raise _do_not_fit(path, found)
            check_digest(stream, path, sha256)
            # The file, what is read from it, and the network: without so much memory, safetensors ends the process.
            np.empty(_COPIES * size + _SPARE_BYTES, dtype=np.uint8)
            weights = safetensors.torch.load(stream.read())
        network = build(config, alphabet, n_classes)
        network.load_state_dict(weights)
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise
        raise _do_not_fit(path, error) from error
    except (ConfigError, SafetensorError) as error:
        raise _do_not_fit(path, error) from error
    for name, tensor in network.state_dict().items():
        if not torch.isfinite(tensor).all():
            found = f"a weight that is infinite or not a number ({name})"
            raise BundleError(f"{path}: found {found}; train it again")
    return network


def _do_not_fit(path: Path, reason: object) -> BundleError:
    return BundleError(f"{path}: found parts that do not fit together ({reason})")
