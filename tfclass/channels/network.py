"""The channel of the network: its calibrated probability, and the families and domains that its other heads predict."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfclass.channels.base import Channel, Column, place_cell
from tfclass.channels.calibration import Calibration, logit, softmax
from tfclass.errors import BundleError
from tfclass.models.forward import MAX_RESIDUES, Precision, scores_of
from tfclass.models.network import Classifier
from tfclass.sequences.alphabet import Alphabet, merged
from tfclass.typing import Float32Array, FloatArray, OnProgress, TokenArray

# A network is not believed beyond these log-odds: there is no validation data to tell.
_MAX_LOG_ODDS = 8.0
# A family that is less likely than the first is left out; below the second, a profile of a family is right more often.
MIN_FAMILY_PROBABILITY, SURE_FAMILY = 0.3, 0.9
# Of 1,757 known DNA-binding domains of training proteins the shortest has 11 residues, and 95 % of those that follow
# another in their protein begin five residues or more behind its end, as zinc fingers do.
SHORTEST_DOMAIN = 10
SHORTEST_GAP = 5


class NetworkScores(NamedTuple):
    """Output of the network for N proteins.

    Attributes
    ----------
    probability_NC : ndarray of float64, shape (N, C)
        Calibrated; rows sum to 1.
    family_NK : ndarray of float64, shape (N, K), or None
        Probability of each family, if the protein is a transcription factor; None without a head for them.
    domains : list of (ndarray of float32, shape (length,)) or None
        Logit of each residue lying in a DNA-binding domain; None without a head for it.
    """

    probability_NC: FloatArray
    family_NK: FloatArray | None
    domains: list[Float32Array] | None


class NetworkChannel(Channel):
    """A network with its calibration.

    Parameters
    ----------
    where : str
        Name of the model, for messages.
    model : Classifier
        Used on the device it is on, and left in the mode it had.
    families : sequence of str
        Names of the K families.
    max_residues, precision, cpu_fallback
        See `tfclass.models.forward.scores_of`.
    """

    name = "network"
    file = "model.safetensors"
    n_features = 1

    def __init__(
        self,
        where: str,
        model: Classifier,
        calibration: Calibration,
        alphabet: Alphabet,
        families: Sequence[str] = (),
        *,
        max_residues: int = MAX_RESIDUES,
        precision: Precision = "float32",
        cpu_fallback: bool = False,
    ) -> None:
        self.where, self.model, self.calibration, self.alphabet = where, model, calibration, alphabet
        self.families = tuple(families)
        self.max_residues, self.cpu_fallback = max_residues, cpu_fallback
        self.precision: Precision = precision

    @property
    def columns(self) -> Mapping[str, Column]:  # type: ignore[override]
        """The columns of the output; see `Channel`."""
        heads = {}
        if self.families:
            heads["family"] = Column("category", of_positives=True)
            heads["family_probability"] = Column("number", 6, of_positives=True)
        if self.model.domain_head is not None:
            heads["domain"] = Column("text", of_positives=True)
        return heads | {"network": Column("number", 6, beside_others=True)}

    def score(
        self,
        tokens: Sequence[TokenArray],
        threads: int = 1,  # noqa: ARG002
        on_progress: OnProgress = None,
    ) -> NetworkScores:
        """Score proteins.

        Raises
        ------
        BundleError
            The network's output is not a number: weights can be finite and still too large.
        MemoryLimitError
            As `tfclass.models.forward.scores_of`.
        """
        options = {"cpu_fallback": self.cpu_fallback, "on_progress": on_progress}
        found = scores_of(self.model, tokens, self.max_residues, self.precision, **options)
        probability_NC = self.calibration.probability(found.logits_NC)
        family_NK = None if found.family_NK is None else softmax(found.family_NK)
        for array in (probability_NC, family_NK):
            if array is not None and not np.isfinite(array).all():
                raise BundleError(f"{self.where}: the network's output is not a number; train it again")
        return NetworkScores(probability_NC, family_NK, found.domains)

    def features(self, scores: NetworkScores) -> FloatArray:
        """Return the calibrated log-odds of the positive class, shape (N, 1)."""
        return np.clip(logit(scores.probability_NC[:, 1:2]), -_MAX_LOG_ODDS, _MAX_LOG_ODDS)

    def cells(self, scores: NetworkScores, row: int, sequence: str, *, positive: bool) -> dict[str, Any]:
        """Return family and domains of a predicted positive, and the network's own probability."""
        values: dict[str, Any] = {"network": round(float(scores.probability_NC[row, 1]), 6)}
        if positive and scores.family_NK is not None:
            family = int(np.argmax(scores.family_NK[row]))
            if scores.family_NK[row, family] >= MIN_FAMILY_PROBABILITY:
                values["family"] = self.families[family]
                values["family_probability"] = round(float(scores.family_NK[row, family]), 6)
        if positive and scores.domains is not None:
            values["domain"] = domain_cell(scores.domains[row], sequence, self.alphabet)
        return values


def domain_ranges(logit_L: FloatArray | Float32Array) -> list[tuple[int, int]]:
    """Find domains: the runs of residues of logit 0 or more.

    Runs with fewer than `SHORTEST_GAP` residues between them are one; then those of fewer than `SHORTEST_DOMAIN`
    residues are left out.

    Parameters
    ----------
    logit_L : ndarray of float, shape (L,)
        Of lying in a DNA-binding domain, for each residue.

    Returns
    -------
    list of (int, int)
        First and last residue of each, counted from 1, in ascending order.

    Examples
    --------
    >>> domain_ranges(np.repeat([-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0], [3, 6, 4, 6, 5, 9, 2]))
    [(4, 19)]
    """
    edges = np.flatnonzero(np.diff(logit_L >= 0, prepend=False, append=False))
    runs = ((start + 1, end) for start, end in edges.reshape(-1, 2).tolist())
    return [(start, end) for start, end in merged(runs, SHORTEST_GAP) if end - start + 1 >= SHORTEST_DOMAIN]


def domain_cell(logit_L: FloatArray | Float32Array, sequence: str, alphabet: Alphabet) -> str | None:
    """Write the domains of a protein, as in ``12-64;80-130``; None without a domain.

    Parameters
    ----------
    logit_L : ndarray of float, shape (L,)
        Of lying in a DNA-binding domain, for each residue.
    sequence : str
        As it was given, with gaps and stops: its characters are counted.
    """
    return place_cell(domain_ranges(logit_L), sequence, alphabet)
