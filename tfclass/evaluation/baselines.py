"""What a model must beat to have learned anything: composition, short words, and the label of the nearest homologue."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from tfclass.data.table import LabelledProteins
from tfclass.errors import MissingExtraError
from tfclass.evaluation.regressions import Answer, regress_on_composition, regress_on_kmers
from tfclass.search.mmseqs import MAX_E_VALUE, MAX_HITS, SENSITIVITY, mmseqs_version, search
from tfclass.typing import FloatArray

# Hits that may well be chance still rank the proteins that have no better ones.
_WEAKEST_E_VALUE = 10.0
# More bits than such a hit has: about 43 is the most among 20 million residues.
_WEAK_BITS = 50.0
# Bits are whole numbers, so this means: more for the positive class than for the other.
_ANY_BITS = 0.5
_TITLES = {
    "composition_regression": "a logistic regression on amino acid composition",
    "kmer_regression": "a logistic regression on words of one to three residues",
    "top_hit": "the label of the nearest training homologue",
}


class Baseline(NamedTuple):
    """What a baseline says of the test proteins.

    Attributes
    ----------
    name : str
        A key for reports, such as ``top_hit``.
    title : str
        For people.
    scores_NC : ndarray of float64, shape (N, C)
        Ranks the proteins of each class; rows of probabilities sum to 1.
    threshold : float or None
        From this score on the last class is called in a binary task; None in a multi-class one, where the class with
        the greatest score is called.
    is_probability : bool
        Whether log loss, Brier score and calibration error mean anything for `scores_NC`.
    note : str
        How scores and calls were made.
    """

    name: str
    title: str
    scores_NC: FloatArray
    threshold: float | None
    is_probability: bool
    note: str


class LeftOut(NamedTuple):
    """A baseline that could not be run, and why."""

    name: str
    title: str
    reason: str


class Homologues(NamedTuple):
    """What a search for the test proteins among the training proteins found.

    Attributes
    ----------
    hits : DataFrame or None
        From `tfclass.search.mmseqs.search`, up to an e-value of 10; `nearest` of that module takes the good ones.
    reason : str
        Why there are none.
    how : str
        Program and settings.
    """

    hits: pd.DataFrame | None
    reason: str = ""
    how: str = ""


def find_homologues(train: LabelledProteins | None, test: LabelledProteins, *, threads: int = 1) -> Homologues:
    """Search the training proteins for homologues of the test proteins, once for all who need them.

    Returns
    -------
    Homologues
        Without hits when there is no train split or no MMseqs2.

    Raises
    ------
    ProgramError
        MMseqs2 failed.
    """
    if train is None:
        return Homologues(None, "the table has no train split; nothing is known of what the model was trained on")
    try:
        how = f"MMseqs2 {mmseqs_version()}, sensitivity {SENSITIVITY:g}"
        hits = search(
            test.tokens,
            train.tokens,
            sensitivity=SENSITIVITY,
            max_e_value=_WEAKEST_E_VALUE,
            threads=threads,
            max_hits=MAX_HITS,
        )
    except MissingExtraError as error:
        return Homologues(None, str(error))
    return Homologues(hits, how=how)


def all_baselines(
    train: LabelledProteins | None, valid: LabelledProteins | None, test: LabelledProteins, homologues: Homologues
) -> dict[str, Baseline | LeftOut]:
    """Run every baseline that can be run.

    Parameters
    ----------
    train : LabelledProteins or None
        What they learn from.
    valid : LabelledProteins or None
        Where thresholds are chosen.
    test : LabelledProteins
        What they are scored on; its labels are not looked at.
    homologues : Homologues
        From `find_homologues` with the same `train` and `test`.

    Returns
    -------
    dict of str to Baseline or LeftOut
        ``composition_regression``, ``kmer_regression`` and ``top_hit``, in this order.
    """
    if train is None or len(np.unique(train.labels)) < 2:
        reason = "the table has no train split with two classes to fit it on"
        return {name: LeftOut(name, title, reason) for name, title in _TITLES.items()}
    return {
        "composition_regression": composition_regression(train, valid, test),
        "kmer_regression": kmer_regression(train, valid, test),
        "top_hit": LeftOut("top_hit", _TITLES["top_hit"], homologues.reason)
        if homologues.hits is None
        else top_hit(train, test, homologues),
    }


def composition_regression(train: LabelledProteins, valid: LabelledProteins | None, test: LabelledProteins) -> Baseline:
    """Fit a logistic regression on the share of each amino acid.

    Parameters
    ----------
    train : LabelledProteins
        Of two classes at least.
    valid : LabelledProteins or None
        Where the threshold of a binary task is chosen; without it, by cross-validation on `train`.

    Returns
    -------
    Baseline
        With probabilities; 0 for a class that `train` lacks.
    """
    return _from_regression("composition_regression", regress_on_composition(train, valid, test))


def kmer_regression(train: LabelledProteins, valid: LabelledProteins | None, test: LabelledProteins) -> Baseline:
    """Fit a logistic regression on words of one to three residues; else as `composition_regression`."""
    return _from_regression("kmer_regression", regress_on_kmers(train, valid, test))


def _from_regression(name: str, answer: Answer) -> Baseline:
    return Baseline(name, _TITLES[name], answer.probability_NC, answer.threshold, True, answer.chosen)


def top_hit(train: LabelledProteins, test: LabelledProteins, homologues: Homologues) -> Baseline:
    """Give each protein the label of its best hit among the training proteins.

    The score of a class is the bits of its best hit less those of the best hit of any other class. Where no hit is
    better than chance (e-value below 1e-3), 50 bits are taken off: such proteins come after all that have a good hit
    of the class alone, and none of them is called positive in a binary task. In a multi-class task a protein without
    any hit is called the commonest class.

    Parameters
    ----------
    homologues : Homologues
        With hits.

    Returns
    -------
    Baseline
        Its scores are bits, not probabilities.

    Raises
    ------
    ValueError
        `homologues` has no hits table.
    """
    hits = homologues.hits
    if hits is None:
        raise ValueError(homologues.reason)
    query, n_classes = hits["query"].to_numpy(), len(test.classes)
    bits_NC = np.zeros((len(test.tokens), n_classes))
    np.maximum.at(bits_NC, (query, train.labels[hits["target"].to_numpy()]), hits["bits"].to_numpy())
    second_N, best_N = np.sort(bits_NC, axis=1)[:, -2:].T
    scores_NC = bits_NC - np.where(bits_NC == best_N[:, None], second_N[:, None], best_N[:, None])
    commonest = np.bincount(train.labels, minlength=n_classes).argmax()
    scores_NC[best_N == 0, commonest] += _ANY_BITS / 2
    weak_N = np.ones(len(bits_NC), dtype=np.bool_)
    weak_N[query[hits["e_value"].to_numpy() < MAX_E_VALUE]] = False
    scores_NC[weak_N] -= _WEAK_BITS
    note = "bits of the best hit of the class less those of the best other one; called by the best hit"
    threshold = _ANY_BITS if n_classes == 2 else None
    return Baseline("top_hit", _TITLES["top_hit"], scores_NC, threshold, False, "; ".join([note, homologues.how]))
