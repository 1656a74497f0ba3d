r"""The training loss: cross-entropy of the classes, and the losses of the auxiliary heads (family, domain).

Families: cross-entropy over the proteins of known family. Domains: binary cross-entropy of every residue, averaged
within a protein and then over the proteins of known domains, so that a long protein counts no more than a short one.
The residues of a step share one logit z, so their mean cross-entropy is that of the fraction y of them in a domain,
:math:`-y \log \sigma(z) - (1 - y) \log \sigma(-z)`: with fractions as targets nothing is lost to pooling.

Proteins with a domain and proteins known to have none have the same total weight. Domains are located in predicted
positives, not in a whole proteome, and a table may hold any number of negatives.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tfclass.config import ModelConfig, TrainingConfig
from tfclass.data.annotations import UNKNOWN, Annotations
from tfclass.data.table import LabelledProteins
from tfclass.errors import TableError
from tfclass.models.forward import Scores
from tfclass.models.network import HeadLogits
from tfclass.typing import BoolArray, Float32Array, IntArray

# Of a batch, where it is not divided among processes.
ALL = slice(None)


class HeadLoss(NamedTuple):
    """The loss of a head in a batch: a mean over proteins (0 if there is none), and the sum of their weights.

    Of a part of a batch it is that part's share: the losses of all parts add up to the loss of the batch.
    """

    value: Tensor
    weight: float


class TrainingLoss:
    """The loss of a batch of the training split; `pool` is the residues per step of the network, `stem.pool`."""

    def __init__(self, training: LabelledProteins, config: TrainingConfig, pool: int, device: torch.device) -> None:
        self.labels_N = training.labels
        weight_C = class_weights(training, config)
        self.weight_C, self.weight_N = weight_C.to(device), weight_C.numpy()[training.labels]
        self.heads = HeadTargets(training.annotations, pool) if training.annotations else None
        self.head_weights = {"family": config.family_weight, "domain": config.domain_weight}

    def __call__(
        self, logits: HeadLogits, lengths_B: Tensor, rows: IntArray, part: slice = ALL
    ) -> tuple[Tensor, Tensor, dict[str, HeadLoss]]:
        """Return the loss to minimise, that of the classes alone, and those of the heads.

        Parameters
        ----------
        logits : HeadLogits
            Of the proteins ``rows[part]`` of the split.
        lengths_B : int64 tensor, shape (B,)
            Of the same, in residues.
        rows : ndarray of int64
            Indices in the split, of a batch.
        part : slice
            Of the batch.
        """
        labels_B = torch.from_numpy(self.labels_N[rows[part]]).to(self.weight_C.device)
        total = F.cross_entropy(logits.logits_BC.float(), labels_B, weight=self.weight_C, reduction="sum")
        of_classes = total / float(self.weight_N[rows].sum())
        of_heads = self.heads.losses(logits, lengths_B, rows, part) if self.heads else {}
        total = of_classes + sum(self.head_weights[name] * head.value for name, head in of_heads.items())
        return total, of_classes, of_heads


class HeadTargets:
    """The targets of the auxiliary heads on a training split, for steps of `pool` residues."""

    def __init__(self, annotations: Annotations, pool: int) -> None:
        self.pool = pool
        self.families_N = annotations.families
        self.fractions = [None if inside is None else step_fractions(inside, pool) for inside in annotations.domains]
        self.weight_N = domain_weights(annotations)

    def losses(self, logits: HeadLogits, lengths_B: Tensor, rows: IntArray, part: slice = ALL) -> dict[str, HeadLoss]:
        """Compute the losses of the heads that the network has; see `TrainingLoss.__call__`."""
        losses = {}
        if logits.family_BK is not None:
            losses["family"] = self._family_loss(logits.family_BK, rows, part)
        if logits.domain_BS is not None:
            losses["domain"] = self._domain_loss(logits.domain_BS, lengths_B, rows, part)
        return losses

    def _family_loss(self, family_BK: Tensor, rows: IntArray, part: slice) -> HeadLoss:
        family_B = torch.from_numpy(self.families_N[rows[part]])
        n_known = int((self.families_N[rows] != UNKNOWN).sum())
        total = F.cross_entropy(family_BK.float(), family_B.to(family_BK.device), ignore_index=UNKNOWN, reduction="sum")
        return HeadLoss(total / max(n_known, 1), n_known)

    def _domain_loss(self, domain_BS: Tensor, lengths_B: Tensor, rows: IntArray, part: slice) -> HeadLoss:
        fraction_BS = np.zeros(tuple(domain_BS.shape), dtype=np.float32)
        for fraction_S, row in zip(fraction_BS, rows[part], strict=True):
            known_S = self.fractions[row]
            if known_S is not None:
                fraction_S[: len(known_S)] = known_S
        weight_B = torch.from_numpy(self.weight_N[rows[part]])
        weight = float(self.weight_N[rows].sum())
        step_S = torch.arange(domain_BS.shape[1], device=domain_BS.device)
        # The last step may have fewer residues, and padding has none.
        residues_BS = (lengths_B[:, None] - self.pool * step_S).clamp(0, self.pool)
        target_BS = torch.from_numpy(fraction_BS).to(domain_BS.device)
        loss_BS = F.binary_cross_entropy_with_logits(domain_BS.float(), target_BS, reduction="none")
        loss_B = (loss_BS * residues_BS).sum(dim=1) / lengths_B
        return HeadLoss((loss_B * weight_B.to(loss_B.device)).sum() / (weight or 1.0), weight)


def check_annotations(training: LabelledProteins, config: ModelConfig, path: str) -> None:
    """Refuse a training split without targets for a head of the network.

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
            raise TableError(f"{path}, column {column!r}, split 'train': found {found}; expected some to learn from")


def step_fractions(inside_L: BoolArray, pool: int) -> Float32Array:
    """Return the fraction of the residues of each step that lie in a domain, shape (ceil(L / pool),).

    Examples
    --------
    >>> step_fractions(np.array([False, True, True, True, False]), pool=2).tolist()
    [0.5, 1.0, 0.0]
    """
    starts = np.arange(0, len(inside_L), pool)
    residues_S = np.minimum(pool, len(inside_L) - starts)
    return (np.add.reduceat(inside_L.astype(np.int64), starts) / residues_S).astype(np.float32)


def domain_weights(annotations: Annotations) -> Float32Array:
    """Weight proteins so that those with a domain and those with none have the same sum, shape (N,).

    Proteins of unknown domains have weight 0; the others have a mean weight of 1.
    """
    known_N = np.array([inside is not None for inside in annotations.domains])
    has_N = np.array([inside is not None and inside.any() for inside in annotations.domains])
    weight_N = np.zeros(len(known_N))
    kinds = [members_N for members_N in (known_N & has_N, known_N & ~has_N) if members_N.any()]
    for members_N in kinds:
        weight_N[members_N] = known_N.sum() / (len(kinds) * members_N.sum())
    return weight_N.astype(np.float32)


def class_weights(training: LabelledProteins, config: TrainingConfig) -> Tensor:
    """Return the weight of each class in the loss: 1, or ``N / (C n_c)`` when balanced; float32, shape (C,).

    An absent class has weight 0.
    """
    counts = np.bincount(training.labels, minlength=len(training.classes)).astype(float)
    if config.class_weight == "none":
        return torch.ones(len(counts))
    present = counts > 0
    weights = np.where(present, counts.sum() / (present.sum() * np.maximum(counts, 1)), 0.0)
    return torch.tensor(weights, dtype=torch.float32)


def head_metrics(scores: Scores, annotations: Annotations) -> dict[str, float]:
    """Score the auxiliary heads.

    Returns
    -------
    dict of str to float
        ``family_accuracy``: of the proteins of known family. ``domain_f1``: F1 of residues at logit 0, over the
        proteins with a domain; the others have no true positives, and their number would decide the score. Each only
        if the network has the head, and a protein can be scored.
    """
    metrics = {}
    known = annotations.families != UNKNOWN
    if scores.family_NK is not None and known.any():
        correct = scores.family_NK[known].argmax(axis=1) == annotations.families[known]
        metrics["family_accuracy"] = float(correct.mean())
    pairs = [
        (logit_L > 0, inside_L)
        for logit_L, inside_L in zip(scores.domains or [None] * len(known), annotations.domains, strict=True)
        if logit_L is not None and inside_L is not None and inside_L.any()
    ]
    if pairs:
        predicted, true = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
        metrics["domain_f1"] = float(2 * (predicted & true).sum() / (predicted.sum() + true.sum()))
    return metrics
