"""How close the scored proteins are to those that the model was trained on."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tfclass.data.leakage import identities
from tfclass.data.table import LabelledProteins
from tfclass.evaluation.baselines import Homologues
from tfclass.search.mmseqs import MAX_E_VALUE, nearest
from tfclass.typing import FloatArray, IntArray

_LEVELS = (0.3, 0.5, 0.7, 0.9)


class Nearest(NamedTuple):
    """The nearest training homologue of each scored protein.

    Attributes
    ----------
    target_N : ndarray of int64, shape (N,)
        Row in `train`; -1 where there is none.
    identity_N : ndarray of float64, shape (N,)
        Share of identical residues in the local alignment, from 0 to 1; NaN where there is none.
    unknown : str
        Why nothing is known of homologues; empty when a search was made.
    how : str
        Program and settings of the search.
    """

    train: LabelledProteins | None
    target_N: IntArray
    identity_N: FloatArray
    unknown: str = ""
    how: str = ""

    @classmethod
    def among(cls, train: LabelledProteins | None, homologues: Homologues, n_proteins: int) -> "Nearest":
        """Take the best hit of each of `n_proteins` from a search among the training proteins."""
        if train is None or homologues.hits is None:
            nothing = np.full(n_proteins, -1), np.full(n_proteins, np.nan)
            return cls(train, *nothing, homologues.reason or "there are no training proteins")
        best = nearest(homologues.hits, n_proteins)
        targets_N, identity_N = best["target"].to_numpy(np.int64), best["identity"].to_numpy(np.float64)
        return cls(train, targets_N, identity_N, how=homologues.how)

    @property
    def ids_N(self) -> npt.NDArray[np.object_]:
        """Id of each protein's nearest homologue, shape (N,); empty where there is none."""
        if self.train is None:
            return np.full(len(self.target_N), "", dtype=object)
        # What is not found, at -1, is the last.
        return np.append(self.train.frame["id"].to_numpy(dtype=object), "")[self.target_N]

    def of(self, row: int) -> dict[str, Any] | None:
        """Give ``id``, ``label`` and ``identity`` of a protein's nearest homologue; None where there is none."""
        if self.train is None or self.target_N[row] < 0:
            return None
        record = self.train.frame.iloc[int(self.target_N[row])]
        return {"id": record["id"], "label": record["label"], "identity": float(self.identity_N[row])}


def leakage_audit(test: LabelledProteins, closest: Nearest) -> dict[str, Any]:
    """Summarise what the scored proteins share with the training proteins.

    Returns
    -------
    dict
        ``left_out`` with the reason where there are no training proteins to hold them against. Else ``n_train``;
        ``identical_sequences`` and ``shared_clusters``, numbers of scored proteins whose sequence or cluster a training
        protein has too; ``search`` and ``max_e_value``, how homologues were found; and ``identity``: ``left_out`` where
        no search was made, else what `tfclass.data.leakage.identities` tells, and ``above`` (identity to number and
        share of all). JSON values.
    """
    train = closest.train
    if train is None:
        return {"left_out": closest.unknown}
    trained = {tokens.tobytes() for tokens in train.tokens}
    clusters = set(train.frame["cluster"])
    return {
        "n_train": len(train.labels),
        "identical_sequences": sum(tokens.tobytes() in trained for tokens in test.tokens),
        "shared_clusters": int(test.frame["cluster"].isin(clusters).sum()),
        "max_e_value": MAX_E_VALUE,
        "search": closest.how,
        "identity": {"left_out": closest.unknown} if closest.unknown else _identities(closest.identity_N),
    }


def _identities(identity_N: FloatArray) -> dict[str, Any]:
    above = {f"{level:.1f}": int((identity_N > level).sum()) for level in _LEVELS}
    shares = {level: {"n": n, "share": n / len(identity_N)} for level, n in above.items()}
    return identities(identity_N) | {"above": shares}
