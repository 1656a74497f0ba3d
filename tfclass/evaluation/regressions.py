"""Logistic regressions on composition and on short words, and their thresholds.

A threshold is never chosen on the proteins that are scored: it comes from the validation split, or else from
cross-validation on the training split that keeps clusters whole.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tfclass.data.table import LabelledProteins
from tfclass.evaluation.threshold_fit import max_mcc_threshold
from tfclass.sequences.alphabet import AMINO_ACIDS
from tfclass.typing import FloatArray, TokenArray

Features = FloatArray | csr_matrix
Tokens = list[TokenArray]

_LONGEST_WORD = 3
_N_FOLDS = 5
_EVEN = 0.5


class Answer(NamedTuple):
    """What a regression says of the test proteins.

    Attributes
    ----------
    probability_NC : ndarray of float64, shape (N, C)
        0 for a class that the training proteins lack.
    threshold : float or None
        None in a multi-class task.
    chosen : str
        How the threshold was chosen.
    """

    probability_NC: FloatArray
    threshold: float | None
    chosen: str


def composition(tokens: Tokens) -> FloatArray:
    """Share of each amino acid.

    Parameters
    ----------
    tokens : list of ndarray of uint8, each of shape (L,)

    Returns
    -------
    ndarray of float64, shape (N, 20)
        Rows sum to at most 1; other letters count in the length only.
    """
    counts = [np.bincount(sequence, minlength=256)[1 : len(AMINO_ACIDS) + 1] / len(sequence) for sequence in tokens]
    return np.array(counts).reshape(len(tokens), len(AMINO_ACIDS))


def kmers(tokens: Tokens) -> csr_matrix:
    """Square root of how often each word of one to three amino acids occurs per residue.

    The root keeps a few repeated words from outweighing the thousands that occur once.

    Parameters
    ----------
    tokens : list of ndarray of uint8, each of shape (L,)

    Returns
    -------
    csr_matrix of float32, shape (N, 20 + 400 + 8000)
        Words of one length stand together, in alphabetical order; a word with another letter is left out.
    """
    n_letters = len(AMINO_ACIDS)
    width = sum(n_letters**k for k in range(1, _LONGEST_WORD + 1))
    found, shares, ends = [np.empty(0, np.int32)], [np.empty(0, np.float32)], [0]
    for sequence in tokens:
        counts = np.bincount(_words(sequence), minlength=1)
        occurring = np.flatnonzero(counts)
        found.append(occurring.astype(np.int32))
        shares.append(np.sqrt(counts[occurring] / len(sequence)).astype(np.float32))
        ends.append(ends[-1] + len(occurring))
    return csr_matrix((np.concatenate(shares), np.concatenate(found), ends), shape=(len(tokens), width))


def _words(sequence: TokenArray) -> npt.NDArray[np.int32]:
    n_letters = len(AMINO_ACIDS)
    letters = sequence.astype(np.int32) - 1
    words, standard = np.zeros(len(letters) + 1, np.int32), np.ones(len(letters) + 1, np.bool_)
    columns, first = [], 0
    for k in range(1, _LONGEST_WORD + 1):
        last = letters[k - 1 :]
        # Word i of length k is word i of length k - 1 and one letter more.
        words, standard = words[: len(last)] * n_letters + last, standard[: len(last)] & (last < n_letters)
        columns.append(words[standard] + first)
        first += n_letters**k
    return np.concatenate(columns)


def regress_on_composition(train: LabelledProteins, valid: LabelledProteins | None, test: LabelledProteins) -> Answer:
    """Fit a logistic regression on `composition`.

    Parameters
    ----------
    train : LabelledProteins
        Of two classes at least.
    valid : LabelledProteins or None
        Where the threshold of a binary task is chosen, if both classes are there.
    """
    return _regress(lambda: make_pipeline(StandardScaler(), _logistic()), composition, train, valid, test)


def regress_on_kmers(train: LabelledProteins, valid: LabelledProteins | None, test: LabelledProteins) -> Answer:
    """Fit a logistic regression on `kmers`; parameters and result as for `regress_on_composition`."""
    return _regress(lambda: make_pipeline(_logistic()), kmers, train, valid, test)


def _logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=1000)


def _regress(
    unfitted: Callable[[], Pipeline],
    features: Callable[[Tokens], Features],
    train: LabelledProteins,
    valid: LabelledProteins | None,
    test: LabelledProteins,
) -> Answer:
    features_NF = features(train.tokens)
    fitted = unfitted().fit(features_NF, train.labels)
    probability_NC = np.zeros((len(test.tokens), len(test.classes)))
    probability_NC[:, fitted.classes_] = fitted.predict_proba(features(test.tokens))
    if len(test.classes) > 2:
        return Answer(probability_NC, None, "the likeliest class is called")
    if valid is not None and len(np.unique(valid.labels)) > 1:
        positive_N = fitted.predict_proba(features(valid.tokens))[:, 1].astype(np.float64)
        return Answer(probability_NC, max_mcc_threshold(positive_N, valid.is_positive), "threshold from validation")
    threshold = _cross_validated(unfitted, features_NF, train)
    if threshold is None:
        return Answer(probability_NC, _EVEN, f"threshold {_EVEN}, for there are too few clusters to choose one")
    return Answer(probability_NC, threshold, "threshold cross-validated on the training proteins")


def _cross_validated(unfitted: Callable[[], Pipeline], features_NF: Features, train: LabelledProteins) -> float | None:
    """Find the best cut for proteins of clusters that the model was not fitted on; None where that cannot be tried."""
    clusters_N, positive_N = train.frame["cluster"].to_numpy(dtype=str), train.is_positive
    n_folds = min(_N_FOLDS, *(len(np.unique(clusters_N[positive_N == side])) for side in (False, True)))
    if n_folds < 2:
        return None
    probability_N = np.full(len(positive_N), np.nan)
    folds = StratifiedGroupKFold(n_folds, shuffle=True, random_state=0)
    for rest, held_out in folds.split(features_NF, positive_N, clusters_N):
        if len(np.unique(positive_N[rest])) > 1:
            fitted = unfitted().fit(features_NF[rest], positive_N[rest])
            probability_N[held_out] = fitted.predict_proba(features_NF[held_out])[:, 1]
    tried_N = np.isfinite(probability_N)
    if len(np.unique(positive_N[tried_N])) < 2:
        return None
    return max_mcc_threshold(probability_N[tried_N], positive_N[tried_N])
