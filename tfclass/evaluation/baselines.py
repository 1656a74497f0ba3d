"""What a model must beat to have learned anything: here, residue composition."""

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfclass.corpus.table import LabelledProteins
from tfclass.sequence.vocabulary import AMINO_ACIDS


def composition(tokens: list[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float64]:
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
    return np.array(counts)


def composition_regression(train: LabelledProteins, test: LabelledProteins) -> npt.NDArray[np.float64]:
    """Fit a logistic regression on composition and score the test proteins.

    Parameters
    ----------
    train, test : LabelledProteins

    Returns
    -------
    ndarray of float64, shape (N, C)
        Probabilities; 0 for a class that `train` lacks.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(composition(train.tokens), train.labels)
    probability_NC = np.zeros((len(test.tokens), len(test.classes)))
    probability_NC[:, model.classes_] = model.predict_proba(composition(test.tokens))
    return probability_NC
