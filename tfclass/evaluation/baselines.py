"""Baselines: logistic regressions on composition and on k-mers, and the label of the nearest training homologue.

A threshold is never chosen on the proteins that are scored: it comes from the validation split, or else from
cross-validation on the training split that keeps clusters whole.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from tfclass.channels.threshold_fit import max_mcc_threshold
from tfclass.data.table import LabelledProteins
from tfclass.evaluation.homologues import Homologues, LeftOut
from tfclass.evaluation.scored import Scored
from tfclass.search.mmseqs import MAX_E_VALUE
from tfclass.sequences.alphabet import AMINO_ACIDS
from tfclass.typing import FloatArray, IntArray, TokenArray

# More bits than a hit that may well be chance has: about 43 is the most among 20 million residues.
_WEAK_BITS = 50.0
# Bits are whole numbers, so this means: more for the positive class than for the other.
_ANY_BITS = 0.5
_MAX_K = 3
_N_FOLDS = 5
_DEFAULT_THRESHOLD = 0.5
TITLES = {
    "composition_regression": "a logistic regression on amino acid composition",
    "kmer_regression": "a logistic regression on k-mers of one to three residues",
    "top_hit": "the label of the nearest training homologue",
}


class Baseline(NamedTuple):
    """Scores of a baseline for the test proteins, as in `Scored`; the note says how they were made."""

    title: str
    scores_NC: FloatArray
    threshold: float | None
    are_probabilities: bool
    note: str

    def scored(self, labels_N: IntArray) -> Scored:
        """Set the scores beside the true labels."""
        return Scored(self.scores_NC, labels_N, self.threshold, self.are_probabilities)


Baselines = dict[str, Baseline | LeftOut]


def all_baselines(
    train: LabelledProteins | None, valid: LabelledProteins | None, test: LabelledProteins, homologues: Homologues
) -> Baselines:
    """Run every baseline that can be run, by name; they are fitted on `train`, their thresholds chosen on `valid`."""
    if train is None or len(np.unique(train.labels)) < 2:
        reason = "the table has no train split with two classes to fit it on"
        return {name: LeftOut(reason, title) for name, title in TITLES.items()}
    return {
        "composition_regression": composition_regression(train, valid, test),
        "kmer_regression": kmer_regression(train, valid, test),
        "top_hit": LeftOut(homologues.reason, TITLES["top_hit"])
        if homologues.hits is None
        else top_hit(train, test, homologues),
    }


def composition_regression(train: LabelledProteins, valid: LabelledProteins | None, test: LabelledProteins) -> Baseline:
    """Fit a logistic regression on the fraction of each amino acid.

    Parameters
    ----------
    train : LabelledProteins
        Of two classes at least; the probability of a class that it lacks is 0.
    valid : LabelledProteins or None
        The threshold of a binary task is chosen on these; without them, by cross-validation on `train`.
    test : LabelledProteins
        Scored; the labels are not used.
    """
    title = TITLES["composition_regression"]
    return _regression(title, lambda: make_pipeline(StandardScaler(), _logistic()), composition, train, valid, test)


def kmer_regression(train: LabelledProteins, valid: LabelledProteins | None, test: LabelledProteins) -> Baseline:
    """Fit a logistic regression on k-mers of one to three residues; else as `composition_regression`."""
    return _regression(TITLES["kmer_regression"], lambda: make_pipeline(_logistic()), kmers, train, valid, test)


def _logistic() -> LogisticRegression:
    return LogisticRegression(max_iter=1000)


def _regression(
    title: str,
    unfitted: Callable[[], Pipeline],
    features: Callable[[Sequence[TokenArray]], FloatArray | csr_matrix],
    train: LabelledProteins,
    valid: LabelledProteins | None,
    test: LabelledProteins,
) -> Baseline:
    features_NF = features(train.tokens)
    fitted = unfitted().fit(features_NF, train.labels)
    probability_NC = np.zeros((len(test.tokens), len(test.classes)))
    probability_NC[:, fitted.classes_] = fitted.predict_proba(features(test.tokens))
    if len(test.classes) > 2:
        return Baseline(title, probability_NC, None, True, "the likeliest class is predicted")
    if valid is not None and len(np.unique(valid.labels)) > 1:
        positive_N = fitted.predict_proba(features(valid.tokens))[:, 1].astype(np.float64)
        threshold, note = max_mcc_threshold(positive_N, valid.is_positive), "threshold from validation"
    elif (threshold := _cross_validated_threshold(unfitted, features_NF, train)) is not None:
        note = "threshold cross-validated on the training proteins"
    else:
        threshold = _DEFAULT_THRESHOLD
        note = f"threshold {threshold}, for there are too few clusters to choose one"
    return Baseline(title, probability_NC, threshold, True, note)


def _cross_validated_threshold(
    unfitted: Callable[[], Pipeline], features_NF: FloatArray | csr_matrix, train: LabelledProteins
) -> float | None:
    """Find the best threshold for proteins of clusters that were not fitted on; None with too few clusters."""
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
    scored_N = np.isfinite(probability_N)
    if len(np.unique(positive_N[scored_N])) < 2:
        return None
    return max_mcc_threshold(probability_N[scored_N], positive_N[scored_N])


def composition(tokens: Sequence[TokenArray]) -> FloatArray:
    """Compute the fraction of each amino acid.

    Returns
    -------
    ndarray of float64, shape (N, 20)
        Rows sum to at most 1; other letters count in the length only.
    """
    counts = [np.bincount(sequence, minlength=256)[1 : len(AMINO_ACIDS) + 1] / len(sequence) for sequence in tokens]
    return np.array(counts).reshape(len(tokens), len(AMINO_ACIDS))


def kmers(tokens: Sequence[TokenArray]) -> csr_matrix:
    """Compute the square root of the number per residue of each k-mer of one to three amino acids.

    The root keeps a few repeated k-mers from outweighing the thousands that occur once.

    Returns
    -------
    csr_matrix of float32, shape (N, 20 + 400 + 8000)
        k-mers of one length stand together, in alphabetical order; one with another letter is left out.
    """
    n_letters = len(AMINO_ACIDS)
    width = sum(n_letters**k for k in range(1, _MAX_K + 1))
    columns, values, ends = [np.empty(0, np.int32)], [np.empty(0, np.float32)], [0]
    for sequence in tokens:
        counts = np.bincount(_kmer_numbers(sequence), minlength=1)
        present = np.flatnonzero(counts)
        columns.append(present.astype(np.int32))
        values.append(np.sqrt(counts[present] / len(sequence)).astype(np.float32))
        ends.append(ends[-1] + len(present))
    return csr_matrix((np.concatenate(values), np.concatenate(columns), ends), shape=(len(tokens), width))


def _kmer_numbers(sequence: TokenArray) -> npt.NDArray[np.int32]:
    n_letters = len(AMINO_ACIDS)
    letters = sequence.astype(np.int32) - 1
    numbers, standard = np.zeros(len(letters) + 1, np.int32), np.ones(len(letters) + 1, np.bool_)
    found, first = [], 0
    for k in range(1, _MAX_K + 1):
        last = letters[k - 1 :]
        # k-mer i is the (k-1)-mer i and one letter more.
        numbers, standard = numbers[: len(last)] * n_letters + last, standard[: len(last)] & (last < n_letters)
        found.append(numbers[standard] + first)
        first += n_letters**k
    return np.concatenate(found)


def top_hit(train: LabelledProteins, test: LabelledProteins, homologues: Homologues) -> Baseline:
    """Predict the label of each protein's best hit among the training proteins.

    The score of a class is the bits of its best hit less those of the best hit of any other class. Where no hit is
    better than chance (e-value below 1e-3), 50 bits are subtracted: such proteins rank below all that have a good hit
    of the class alone, and none of them is predicted positive in a binary task. In a multi-class task the commonest
    class is predicted for a protein without any hit.
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
    note = "bits of the best hit of the class less those of the best other one; the best hit is predicted"
    threshold = _ANY_BITS if n_classes == 2 else None
    return Baseline(TITLES["top_hit"], scores_NC, threshold, False, "; ".join([note, homologues.how]))
