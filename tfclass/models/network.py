"""The whole network: embedding, stem, encoder, pooling, heads.

Every pooling maps states_BLF and mask_BL to pooled_BF, and is built from F features in one or two directions; with two,
the second half of the features runs backward. States on padding are finite and do not change the result.

References
----------
.. [1] Z. Lin et al., "A structured self-attentive sentence embedding", ICLR 2017, 10.48550/arXiv.1703.03130.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from tfclass.models.encoders import IdentityEncoder, Recurrent, length_mask
from tfclass.models.front import ConvolutionStem, FixedEmbedding, KmerEmbedding, LookupStem, NoStem

if TYPE_CHECKING:
    from tfclass.models.stacks import StackStem


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


class HeadLogits(NamedTuple):
    """The logits of all heads for a batch; None if the network lacks a head.

    Attributes
    ----------
    logits_BC : float tensor, shape (B, C)
        Classes.
    family_BK : float tensor, shape (B, K), or None
        Families.
    domain_BS : float tensor, shape (B, S), or None
        Whether a step lies in a DNA-binding domain; finite and without meaning beyond `steps_B`.
    steps_B : int64 tensor, shape (B,)
        Steps of each sequence: ``ceil(length / stem.pool)``.
    """

    logits_BC: Tensor
    family_BK: Tensor | None
    domain_BS: Tensor | None
    steps_B: Tensor


class Classifier(nn.Module):
    """Map tokens to one logit per class; two classes are treated like any number.

    Parameters
    ----------
    embedding : nn.Module
        tokens_BL -> x_BLE, zero on padding.
    stem : nn.Module
        x_BLE, lengths_B -> x_BLE, lengths_B.
    encoder : nn.Module
        x_BLE, lengths_B -> states_BLF.
    pooling : nn.Module
        states_BLF, mask_BL -> pooled_BF.
    n_classes : int
        C.
    dropout : float
        Probability, after the pooling and after the hidden layer.
    hidden : int
        Units of a hidden layer between pooling and output; 0 for none.
    n_families : int
        K, for an auxiliary head; 0 for none.
    domains : bool
        Whether there is an auxiliary head for DNA-binding domains, with one logit per step.
    """

    def __init__(
        self,
        embedding: KmerEmbedding | FixedEmbedding,
        stem: "NoStem | ConvolutionStem | StackStem",
        encoder: IdentityEncoder | Recurrent,
        pooling: nn.Module,
        n_classes: int,
        dropout: float,
        hidden: int = 0,
        *,
        n_families: int = 0,
        domains: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.stem = stem
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = nn.Dropout(dropout)
        width = encoder.out_features
        layers = [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout)] if hidden else []
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(hidden or width, n_classes)
        self.family_head = nn.Linear(hidden or width, n_families) if n_families else None
        self.domain_head = nn.Linear(width, 1) if domains else None

    def forward(self, tokens_BL: Tensor, lengths_B: Tensor, front: LookupStem | None = None) -> Tensor:
        """Score a padded batch.

        Parameters
        ----------
        tokens_BL : int64 tensor, shape (B, L)
            0 on padding, which is on the right; no sequence is empty.
        front : LookupStem, optional
            From `lookup`; used in place of embedding and stem.

        Returns
        -------
        float tensor, shape (B, C)
            Logits.
        """
        pooled_BF, _, _ = self._read(tokens_BL, lengths_B, front)
        return self.head(pooled_BF)

    def all_heads(self, tokens_BL: Tensor, lengths_B: Tensor, front: LookupStem | None = None) -> HeadLogits:
        """Score a padded batch with all heads; see `forward` for the arguments."""
        pooled_BF, states_BSF, steps_B = self._read(tokens_BL, lengths_B, front)
        return HeadLogits(
            self.head(pooled_BF),
            self.family_head(pooled_BF) if self.family_head else None,
            self.domain_head(states_BSF)[..., 0] if self.domain_head else None,
            steps_B,
        )

    def _read(self, tokens_BL: Tensor, lengths_B: Tensor, front: LookupStem | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the inputs of the heads: pooled_BF (after the hidden layer, if there is one), states_BSF, steps_B."""
        if front is None:
            x_BSE, steps_B = self.stem(self.embedding(tokens_BL), lengths_B)
        else:
            x_BSE, steps_B = front(tokens_BL, lengths_B)
        states_BSF = self.encoder(x_BSE, steps_B)
        pooled_BF = self.pooling(states_BSF, length_mask(steps_B, states_BSF.shape[1]))
        return self.hidden(self.dropout(pooled_BF)), states_BSF, steps_B

    def lookup(self) -> LookupStem | None:
        """Return embedding and stem, with their present weights, as tables; None if that is not possible."""
        vectors_VE = self.embedding.residue_vectors()
        if vectors_VE is None or not isinstance(self.stem, ConvolutionStem):
            return None
        return LookupStem(vectors_VE, self.stem)
