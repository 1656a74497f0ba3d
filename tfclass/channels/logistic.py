"""The logistic function, its inverse and softmax in float64.

torch computes them, since it is loaded anyway; ``scipy.special`` would take half a second to load.
"""

import numpy as np
import numpy.typing as npt
import torch

from tfclass.typing import FloatArray


def expit(x: npt.ArrayLike) -> FloatArray:
    """Compute 1 / (1 + exp(-x)) of each element."""
    return torch.special.expit(_tensor(x)).numpy()


def logit(p: npt.ArrayLike) -> FloatArray:
    """Compute log(p / (1 - p)) of each element: -inf at 0, inf at 1."""
    return torch.special.logit(_tensor(p)).numpy()


def softmax(x_NC: npt.ArrayLike) -> FloatArray:
    """Compute the softmax of each row."""
    return torch.softmax(_tensor(x_NC), dim=1).numpy()


def _tensor(values: npt.ArrayLike) -> torch.Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))
