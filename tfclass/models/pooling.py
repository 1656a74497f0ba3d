"""Poolings: states_BLF, mask_BL -> pooled_BF. States on padding are finite and do not change the result.

Every pooling is built from F features in one or two directions; with two, the second half of the features runs
backward.

References
----------
.. [1] Z. Lin et al., "A structured self-attentive sentence embedding", ICLR 2017, 10.48550/arXiv.1703.03130.
"""

import torch
from torch import Tensor, nn


class LastPooling(nn.Module):
    """The last state of each direction: forward at the last residue, backward at the first."""

    def __init__(self, features: int, directions: int) -> None:
        super().__init__()
        self.backward_from = features // directions if directions == 2 else features

    def forward(self, states_BLF: Tensor, mask_BL: Tensor) -> Tensor:
        """Pool over positions; see the module for shapes."""
        last_B = mask_BL.sum(dim=1) - 1
        ends_BF = states_BLF[torch.arange(len(last_B), device=last_B.device), last_B]
        return torch.cat([ends_BF[:, : self.backward_from], states_BLF[:, 0, self.backward_from :]], dim=1)


class MeanPooling(nn.Module):
    """The mean over residues."""

    def __init__(self, features: int, directions: int) -> None:
        super().__init__()

    def forward(self, states_BLF: Tensor, mask_BL: Tensor) -> Tensor:
        """Pool over positions; see the module for shapes."""
        total_BF = states_BLF.masked_fill(~mask_BL[..., None], 0.0).sum(dim=1)
        return total_BF / mask_BL.sum(dim=1, keepdim=True)


class MaxPooling(nn.Module):
    """The maximum of each feature over residues."""

    def __init__(self, features: int, directions: int) -> None:
        super().__init__()

    def forward(self, states_BLF: Tensor, mask_BL: Tensor) -> Tensor:
        """Pool over positions; see the module for shapes."""
        return states_BLF.masked_fill(~mask_BL[..., None], -torch.inf).amax(dim=1)


class AttentionPooling(nn.Module):
    r"""A mean with learned weights: :math:`a = \mathrm{softmax}(v^\top \tanh(W h_t + b))` [1]_.

    Parameters
    ----------
    features, directions : int
        Of the encoder.
    hidden : int, optional
        Length of b, half the features if not given; with 0, :math:`a = \mathrm{softmax}(v^\top h_t)`.
    """

    def __init__(self, features: int, directions: int, hidden: int | None = None) -> None:
        super().__init__()
        width = (features // 2 or 1) if hidden is None else hidden
        self.project = nn.Linear(features, width) if width else None
        self.score = nn.Linear(width or features, 1, bias=False)

    def weights(self, states_BLF: Tensor, mask_BL: Tensor) -> Tensor:
        """Return the weight of each position, shape (B, L); they sum to 1 over a sequence and are 0 on padding."""
        seen_BLF = states_BLF if self.project is None else torch.tanh(self.project(states_BLF))
        scores_BL = self.score(seen_BLF)[..., 0]
        return scores_BL.masked_fill(~mask_BL, -torch.inf).softmax(dim=1)

    def forward(self, states_BLF: Tensor, mask_BL: Tensor) -> Tensor:
        """Pool over positions; see the module for shapes."""
        return torch.einsum("bl,blf->bf", self.weights(states_BLF, mask_BL), states_BLF)
