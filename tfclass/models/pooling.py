"""Poolings: states_BLF, mask_BL -> pooled_BF. No state on padding, finite as it must be, changes what they give.

References
----------
.. [1] Z. Lin et al., "A structured self-attentive sentence embedding", ICLR 2017, 10.48550/arXiv.1703.03130.
"""

import torch
from torch import Tensor, nn


class LastPooling(nn.Module):
    """The state each direction ends with: forward at the last residue, backward at the first.

    Parameters
    ----------
    features : int
        F.
    directions : int
        1, or 2 when the second half of the features runs backward.
    """

    def __init__(self, features: int, directions: int) -> None:
        super().__init__()
        self.backward_from = features // directions if directions == 2 else features

    def forward(self, states_BLF: Tensor, mask_BL: Tensor) -> Tensor:
        """Pool over positions; see the module for shapes."""
        last_B = mask_BL.sum(dim=1) - 1
        ends_BF = states_BLF[torch.arange(len(last_B), device=last_B.device), last_B]
        return torch.cat([ends_BF[:, : self.backward_from], states_BLF[:, 0, self.backward_from :]], dim=1)


class MeanPooling(nn.Module):
    """The mean over real positions.

    Parameters
    ----------
    features, directions : int
        Not needed; every pooling is built alike.
    """

    def __init__(self, features: int, directions: int) -> None:
        super().__init__()

    def forward(self, states_BLF: Tensor, mask_BL: Tensor) -> Tensor:
        """Pool over positions; see the module for shapes."""
        total_BF = states_BLF.masked_fill(~mask_BL[..., None], 0.0).sum(dim=1)
        return total_BF / mask_BL.sum(dim=1, keepdim=True)


class MaxPooling(nn.Module):
    """The largest value of each feature over real positions.

    Parameters
    ----------
    features, directions : int
        Not needed; every pooling is built alike.
    """

    def __init__(self, features: int, directions: int) -> None:
        super().__init__()

    def forward(self, states_BLF: Tensor, mask_BL: Tensor) -> Tensor:
        """Pool over positions; see the module for shapes."""
        return states_BLF.masked_fill(~mask_BL[..., None], -torch.inf).amax(dim=1)


class AttentionPooling(nn.Module):
    r"""A weighted mean, the weights learned: :math:`a = \mathrm{softmax}(v^\top \tanh(W h_t + b))` [1]_.

    Parameters
    ----------
    features : int
        F.
    directions : int
        Not needed; every pooling is built alike.
    hidden : int, optional
        Length of b, half the features if not given; with 0, :math:`a = \mathrm{softmax}(v^\top h_t)`.
    """

    def __init__(self, features: int, directions: int, hidden: int | None = None) -> None:
        super().__init__()
        width = (features // 2 or 1) if hidden is None else hidden
        self.project = nn.Linear(features, width) if width else None
        self.score = nn.Linear(width or features, 1, bias=False)

    def weights(self, states_BLF: Tensor, mask_BL: Tensor) -> Tensor:
        """Give the attention of each position.

        Returns
        -------
        float tensor, shape (B, L)
            Sums to 1 over a sequence, 0 on padding.
        """
        seen_BLF = states_BLF if self.project is None else torch.tanh(self.project(states_BLF))
        scores_BL = self.score(seen_BLF)[..., 0]
        return scores_BL.masked_fill(~mask_BL, -torch.inf).softmax(dim=1)

    def forward(self, states_BLF: Tensor, mask_BL: Tensor) -> Tensor:
        """Pool over positions; see the module for shapes."""
        # Padding has weight 0, which a finite state cannot make anything else of.
        return torch.einsum("bl,blf->bf", self.weights(states_BLF, mask_BL), states_BLF)
