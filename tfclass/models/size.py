"""The memory that the weights of a network take, computed without allocating them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from tfclass.config import ModelConfig

# From here on all layers have the same shapes.
_FEW_LAYERS = 3


def weight_bytes(make: Callable[[ModelConfig], nn.Module], config: ModelConfig) -> float:
    """Compute the bytes of the weights and buffers of the network that `make` builds.

    It is built on torch's device ``meta``, which knows shapes but holds no values, with few layers: every layer beyond
    the second adds as much as the third one does.

    Returns
    -------
    float
        Infinite if a single tensor has more elements than fit into 64 bits.
    """
    few = min(config.layers, _FEW_LAYERS)
    try:
        n_bytes = _on_meta(make, replace(config, layers=few))
        if config.layers > few:
            of_one_layer = n_bytes - _on_meta(make, replace(config, layers=few - 1))
            n_bytes += (config.layers - few) * of_one_layer
    except (RuntimeError, OverflowError, TypeError):
        # Torch's refusal of dimensions beyond 64 bits; on this device only shapes can fail.
        return float("inf")
    return float(n_bytes)


def _on_meta(make: Callable[[ModelConfig], nn.Module], config: ModelConfig) -> int:
    with torch.device("meta"), _NoInitialValues():
        tensors = make(config).state_dict().values()
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class _NoInitialValues(TorchFunctionMode):
    """Skip the random initial values: on ``meta`` there are none, and torch needs a second to find that out."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        given = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__ or func in (torch.Tensor.uniform_, torch.Tensor.normal_):
            return args[0] if args else given["tensor"]
        return func(*args, **given)
