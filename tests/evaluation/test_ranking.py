"""Ranking metrics under many weightings at once, against scikit-learn under each of them."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tfclass.evaluation.ranking import Ranking

EXACT = {"rel": 1e-12, "abs": 1e-12}
# Few different scores make many ties; the last two differ by the last bit alone.
SCORES = [-1.5, 0.0, 0.25, 0.5, 1.0, float(np.nextafter(1.0, 2.0))]
ROWS = st.lists(st.tuples(st.sampled_from(SCORES), st.booleans()), min_size=1, max_size=40)


def slow_recall_at(fdr, scores_N, positive_N, weights_N) -> float:
    best = 0.0
    for threshold in scores_N:
        predicted_N = scores_N >= threshold
        predicted, tp = weights_N[predicted_N].sum(), weights_N[predicted_N & positive_N].sum()
        if predicted > 0 and (predicted - tp) / predicted <= fdr + 1e-9:
            best = max(best, tp / weights_N[positive_N].sum())
    return best


def assert_equal_to_scikit_learn(scores_N, positive_N, weights_NR) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curve = Ranking(scores_N, positive_N).at_weights(weights_NR)
        ap_R, auroc_R, recall_R = curve.average_precision(), curve.auroc(), curve.recall_at(0.2)
    for r, weights_N in enumerate(weights_NR.T):
        positives, negatives = weights_N[positive_N].sum(), weights_N[~positive_N].sum()
        assert np.isnan(ap_R[r]) == np.isnan(auroc_R[r]) == (positives == 0 or negatives == 0)
        assert np.isnan(recall_R[r]) == (positives == 0)
        if positives > 0:
            assert recall_R[r] == pytest.approx(slow_recall_at(0.2, scores_N, positive_N, weights_N), **EXACT)
        if positives > 0 and negatives > 0:
            weighted = {"sample_weight": weights_N}
            assert ap_R[r] == pytest.approx(sk.average_precision_score(positive_N, scores_N, **weighted), **EXACT)
            assert auroc_R[r] == pytest.approx(sk.roc_auc_score(positive_N, scores_N, **weighted), **EXACT)


@settings(max_examples=75, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 10**6))
def test_resamples_with_ties_zero_weights_and_single_classes_equal_scikit_learn(rows, seed):
    scores_N, positive_N = np.array([s for s, _ in rows]), np.array([p for _, p in rows])
    # Weights of a bootstrap: whole numbers, a third of them 0.
    weights_NR = np.random.default_rng(seed).poisson(1.0, size=(len(rows), 5)).astype(float)
    assert_equal_to_scikit_learn(scores_N, positive_N, weights_NR)


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, seed=st.integers(0, 10**6))
def test_fractional_weights_equal_scikit_learn(rows, seed):
    scores_N, positive_N = np.array([s for s, _ in rows]), np.array([p for _, p in rows])
    weights_NR = np.random.default_rng(seed).exponential(size=(len(rows), 3))
    assert_equal_to_scikit_learn(scores_N, positive_N, weights_NR)


@pytest.mark.parametrize("seed", range(3))
def test_thousands_of_proteins_equal_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    positive_N = rng.random(5000) < 0.05
    scores_N = np.round(rng.normal(size=5000) + 2 * positive_N, 2 + seed)
    assert_equal_to_scikit_learn(scores_N, positive_N, rng.poisson(1.0, size=(5000, 4)).astype(float))


def test_a_share_at_the_limit_is_within_it():
    # One false among a hundred predicted is 1 %, whatever the last bit of a product says.
    for predicted in (100, 700, 2900, 5700, 11400):
        positive_N = np.ones(predicted, dtype=bool)
        positive_N[: predicted // 100] = False
        curve = Ranking(np.zeros(predicted), positive_N).at_weights(np.ones((predicted, 1)))
        assert curve.recall_at(0.01)[0] == 1.0
        assert curve.recall_at(0.0099)[0] == 0.0


def test_the_order_of_the_proteins_does_not_matter():
    rng = np.random.default_rng(0)
    scores_N, positive_N, weights_NR = rng.integers(0, 9, 200), rng.random(200) < 0.4, rng.poisson(1.0, (200, 3)) + 0.0
    shuffled = rng.permutation(200)
    one = Ranking(scores_N, positive_N).at_weights(weights_NR)
    other = Ranking(scores_N[shuffled], positive_N[shuffled]).at_weights(weights_NR[shuffled])
    np.testing.assert_allclose(one.average_precision(), other.average_precision(), rtol=1e-12)
    np.testing.assert_allclose(one.auroc(), other.auroc(), rtol=1e-12)
