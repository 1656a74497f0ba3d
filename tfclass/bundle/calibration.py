"""How a model's logits become probabilities.

References
----------
.. [1] C. Guo et al., "On calibration of modern neural networks", ICML 2017, 10.48550/arXiv.1706.04599.
.. [2] C. Elkan, "The foundations of cost-sensitive learning", IJCAI 2001.
"""

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from scipy.special import softmax


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Calibration:
    r"""Temperature scaling: :math:`p = \mathrm{softmax}((z - \log w) / T)` [1]_.

    Attributes
    ----------
    temperature : float
        T; above 1 the network was too sure of itself.
    log_weight_C : tuple of float, length C
        Logarithm of the class weights used in training, which shift the logits by as much [2]_; zeros without.
    """

    temperature: float
    log_weight_C: tuple[float, ...]

    def probability(self, logits_NC: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Turn logits into probabilities.

        Parameters
        ----------
        logits_NC : ndarray of float64, shape (N, C)

        Returns
        -------
        ndarray of float64, shape (N, C)
            Rows sum to 1.
        """
        return softmax((logits_NC - np.array(self.log_weight_C)) / self.temperature, axis=1)
