r"""What the heads beside the classes' own are to give, and how far off they are.

Families: cross-entropy over the proteins whose family is known. Domains: binary cross-entropy of every residue,
averaged within a protein and then over the proteins whose domains are known, so that a long protein counts no more than
another. The residues of a step share one logit z, so their mean cross-entropy is that of the share y of them in a
domain, :math:`-y \log \sigma(z) - (1 - y) \log \sigma(-z)`: with shares as targets nothing is lost to pooling.

Proteins with a domain and proteins known to have none weigh the same in all. Domains are looked for in proteins that
are called, not in a whole proteome, and a table may hold any number of negatives.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tfclass.config import ModelConfig
from tfclass.data.annotations import UNKNOWN, Annotations
from tfclass.data.table import LabelledProteins
from tfclass.errors import TableError
from tfclass.models.forward import Scores
from tfclass.models.network import HeadLogits
from tfclass.sequences.batching import Indices
from tfclass.typing import BoolArray, Float32Array


class HeadLoss(NamedTuple):
    """The loss of a head in a batch.

    Attributes
    ----------
    value : float tensor, shape ()
        A weighted mean over proteins; 0 where there is none.
    weight : float
        Sum of their weights.
    """

    value: Tensor
    weight: float


class Targets:
    """The targets of a training split, prepared once.

    Parameters
    ----------
    pool : int
        Residues per step, `stem.pool` of the network.
    """

    def __init__(self, annotations: Annotations, pool: int) -> None:
        self.pool = pool
        self.families_N = annotations.families
        self.shares = [None if inside is None else step_shares(inside, pool) for inside in annotations.domains]
        self.weight_N = domain_weights(annotations)

    def losses(self, logits: HeadLogits, lengths_B: Tensor, rows: Indices) -> dict[str, HeadLoss]:
        """Compare what the heads give for the proteins `rows`, shape (B,), of the split.

        Parameters
        ----------
        lengths_B : int64 tensor, shape (B,)
            In residues.
        rows : ndarray of int64, shape (B,)

        Returns
        -------
        dict of str to HeadLoss
            ``family`` and ``domain``, where the network has that head.
        """
        losses = {}
        if logits.family_BK is not None:
            losses["family"] = self._family_loss(logits.family_BK, rows)
        if logits.domain_BS is not None:
            losses["domain"] = self._domain_loss(logits.domain_BS, lengths_B, rows)
        return losses

    def _family_loss(self, family_BK: Tensor, rows: Indices) -> HeadLoss:
        family_B = torch.from_numpy(self.families_N[rows])
        n_known = int((family_B != UNKNOWN).sum())
        total = F.cross_entropy(family_BK.float(), family_B.to(family_BK.device), ignore_index=UNKNOWN, reduction="sum")
        return HeadLoss(total / max(n_known, 1), n_known)

    def _domain_loss(self, domain_BS: Tensor, lengths_B: Tensor, rows: Indices) -> HeadLoss:
        share_BS = np.zeros(tuple(domain_BS.shape), dtype=np.float32)
        for share_S, row in zip(share_BS, rows, strict=True):
            known_S = self.shares[row]
            if known_S is not None:
                share_S[: len(known_S)] = known_S
        weight_B = torch.from_numpy(self.weight_N[rows])
        weight = float(weight_B.sum())
        step_S = torch.arange(domain_BS.shape[1], device=domain_BS.device)
        # The last step may be of fewer residues, and padding is of none.
        residues_BS = (lengths_B[:, None] - self.pool * step_S).clamp(0, self.pool)
        target_BS = torch.from_numpy(share_BS).to(domain_BS.device)
        loss_BS = F.binary_cross_entropy_with_logits(domain_BS.float(), target_BS, reduction="none")
        loss_B = (loss_BS * residues_BS).sum(dim=1) / lengths_B
        return HeadLoss((loss_B * weight_B.to(loss_B.device)).sum() / (weight or 1.0), weight)


def check_annotations(training: LabelledProteins, config: ModelConfig, path: str) -> None:
    """Refuse a training split that has nothing for a head to learn from.

    Raises
    ------
    TableError
        No protein is of one of the families, or none has known domains.
    """
    known = training.annotations
    if known is None:
        return
    checks = {
        "family": (config.families, (known.families != UNKNOWN).any(), "no protein of model.families"),
        "domains": (config.domains, any(d is not None for d in known.domains), "empty cells only"),
    }
    for column, (asked, given, found) in checks.items():
        if asked and not given:
            where = f"{path}, column {column!r}, split 'train'"
            raise TableError(where, found, "some to learn from", path=path, column=column)


def step_shares(inside_L: BoolArray, pool: int) -> Float32Array:
    """Give the share of each step's residues that lie in a domain, shape (ceil(L / pool),).

    Examples
    --------
    >>> step_shares(np.array([False, True, True, True, False]), pool=2).tolist()
    [0.5, 1.0, 0.0]
    """
    starts = np.arange(0, len(inside_L), pool)
    residues_S = np.minimum(pool, len(inside_L) - starts)
    return (np.add.reduceat(inside_L.astype(np.int64), starts) / residues_S).astype(np.float32)


def domain_weights(annotations: Annotations) -> Float32Array:
    """Weigh proteins so that those with a domain and those with none sum to the same, shape (N,).

    The mean weight is 1 over the proteins whose domains are known; unknown ones have weight 0. Where all known ones are
    of one kind, each has weight 1.
    """
    known_N = np.array([inside is not None for inside in annotations.domains])
    has_N = np.array([inside is not None and inside.any() for inside in annotations.domains])
    weight_N = np.zeros(len(known_N))
    kinds = [members_N for members_N in (known_N & has_N, known_N & ~has_N) if members_N.any()]
    for members_N in kinds:
        weight_N[members_N] = known_N.sum() / (len(kinds) * members_N.sum())
    return weight_N.astype(np.float32)


def figures(scores: Scores, annotations: Annotations) -> dict[str, float]:
    """Score the heads beside the classes' own.

    Parameters
    ----------
    annotations : Annotations
        Of the same N proteins.

    Returns
    -------
    dict of str to float
        ``family_accuracy``: share of the proteins of known family that get it. ``domain_f1``: F1 of residues, called at
        logit 0, over the proteins with a domain; on the others there is nothing to find, and how many there are would
        decide the score. Each only where the network has the head, and a protein can be scored.
    """
    found = {}
    known = annotations.families != UNKNOWN
    if scores.family_NK is not None and known.any():
        hits = scores.family_NK[known].argmax(axis=1) == annotations.families[known]
        found["family_accuracy"] = float(hits.mean())
    pairs = [
        (logit_L > 0, inside_L)
        for logit_L, inside_L in zip(scores.domains or [None] * len(known), annotations.domains, strict=True)
        if logit_L is not None and inside_L is not None and inside_L.any()
    ]
    if pairs:
        called, inside = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        found["domain_f1"] = float(2 * (called & inside).sum() / (called.sum() + inside.sum()))
    return found
