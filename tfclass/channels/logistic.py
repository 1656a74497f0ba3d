"""The logistic function, its inverse and softmax in float64, without loading SciPy, which takes half a second."""

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


def softmax(x_NC: FloatArray) -> FloatArray:
    """Compute the softmax of each row; NaN in a row that holds NaN or positive infinity."""
    with np.errstate(invalid="ignore"):
        exponential_NC = np.exp(x_NC - x_NC.max(axis=1, keepdims=True))
        return exponential_NC / exponential_NC.sum(axis=1, keepdims=True)


def _tensor(values: npt.ArrayLike) -> torch.Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))
