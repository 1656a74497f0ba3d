"""Metrics against scikit-learn, slow loops and simulations."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn import metrics as sk

from tfclass.evaluation.metrics import (
    Scored,
    all_metrics,
    auroc,
    average_precision,
    cluster_bootstrap,
    expected_calibration_error,
    matthews_correlation,
)

EXACT = {"rel": 1e-12, "abs": 1e-12}
NAMES = {"average_precision", "auroc", "mcc", "f1", "precision", "recall", "brier", "ece"}


def simulated(n_classes: int, seed: int, n: int = 400, threshold: float = 0.4) -> Scored:
    """Probabilities that say something about the labels, with ties."""
    rng = np.random.default_rng(seed)
    labels_N = rng.integers(0, n_classes, size=n)
    logits_NC = rng.normal(size=(n, n_classes)) + 1.2 * np.eye(n_classes)[labels_N]
    powers_NC = np.exp(np.round(logits_NC, 1))
    probability_NC = powers_NC / powers_NC.sum(axis=1, keepdims=True)
    if n_classes == 2:
        # On a grid that floating point holds exactly: what is a tie before any arithmetic is one after it.
        probability_N = np.round(probability_NC[:, 1] * 256) / 256
        probability_NC = np.stack([1 - probability_N, probability_N], axis=1)
    return Scored(probability_NC, labels_N, threshold if n_classes == 2 else None)


def by_scikit_learn(scored: Scored, weights_N) -> dict[str, float]:
    p_NC, labels_N, calls_N = scored.probability_NC, scored.labels_N, scored.calls_N
    weighted = {"sample_weight": weights_N}
    if p_NC.shape[1] == 2:
        ranking = {
            "average_precision": sk.average_precision_score(labels_N, p_NC[:, 1], **weighted),
            "auroc": sk.roc_auc_score(labels_N, p_NC[:, 1], **weighted),
            "brier": sk.brier_score_loss(labels_N, p_NC[:, 1], **weighted),
        }
        mean = "binary"
    else:
        true_NC = np.eye(p_NC.shape[1])[labels_N]
        squares_N = ((p_NC - true_NC) ** 2).sum(axis=1)
        ranking = {
            "average_precision": sk.average_precision_score(true_NC, p_NC, average="macro", **weighted),
            "auroc": sk.roc_auc_score(true_NC, p_NC, average="macro", **weighted),
            "brier": np.average(squares_N, weights=weights_N),
        }
        mean = "macro"
    return ranking | {
        "mcc": sk.matthews_corrcoef(labels_N, calls_N, **weighted),
        "f1": sk.f1_score(labels_N, calls_N, average=mean, zero_division=0, **weighted),
        "precision": sk.precision_score(labels_N, calls_N, average=mean, zero_division=0, **weighted),
        "recall": sk.recall_score(labels_N, calls_N, average=mean, zero_division=0, **weighted),
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weighted", [False, True], ids=["without weights", "with weights, some of them zero"])
@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_every_metric_is_that_of_scikit_learn(n_classes, weighted, seed):
    scored = simulated(n_classes, seed)
    weights_N = np.random.default_rng(100 + seed).integers(0, 4, size=400).astype(float) if weighted else None
    ours = all_metrics(scored, 10, weights_N)
    assert ours.keys() == NAMES
    for name, value in by_scikit_learn(scored, weights_N).items():
        assert ours[name] == pytest.approx(value, **EXACT), name


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_weight_is_the_same_as_repeating_the_row(n_classes):
    scored = simulated(n_classes, seed=7)
    times = np.random.default_rng(107).integers(0, 4, size=400)
    repeated = Scored(
        np.repeat(scored.probability_NC, times, axis=0), np.repeat(scored.labels_N, times), scored.threshold
    )
    weighted, plain = all_metrics(scored, 10, times.astype(float)), all_metrics(repeated, 10)
    for name in NAMES:
        assert weighted[name] == pytest.approx(plain[name], **EXACT), name


def test_log_probabilities_rank_like_the_difference_of_the_logits():
    rng = np.random.default_rng(0)
    logits_NC = rng.normal(size=(300, 2))
    labels_N = (rng.random(300) < 0.3).astype(int)
    difference_N = logits_NC[:, 1] - logits_NC[:, 0]
    log_probability_NC = log_softmax(logits_NC, axis=1)
    assert average_precision(log_probability_NC, labels_N) == sk.average_precision_score(labels_N, difference_N)
    assert auroc(log_probability_NC, labels_N) == sk.roc_auc_score(labels_N, difference_N)


def slow_calibration_error(stated, happened, weights, n_bins):
    total = 0.0
    for b in range(n_bins):
        low, high = b / n_bins, (b + 1) / n_bins
        inside = [i for i, p in enumerate(stated) if low <= p < high or (b == n_bins - 1 and p == 1.0)]
        weight = sum(weights[i] for i in inside)
        if weight:
            confidence = sum(weights[i] * stated[i] for i in inside) / weight
            frequency = sum(weights[i] * happened[i] for i in inside) / weight
            total += weight * abs(confidence - frequency)
    return total / sum(weights)


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(0, 64), st.booleans(), st.integers(1, 5)), min_size=1, max_size=60),
    n_bins=st.sampled_from([1, 2, 4, 8, 16, 32]),
)
def test_the_calibration_error_equals_a_slow_loop(rows, n_bins):
    # Sixty-fourths fall on bin edges exactly, 0 and 1 included.
    stated = [p / 64 for p, _, _ in rows]
    labels = np.array([int(positive) for _, positive, _ in rows])
    weights = np.array([float(w) for _, _, w in rows])
    scored = Scored(np.array([[1 - p, p] for p in stated]), labels, 0.5)
    slow = slow_calibration_error(stated, labels, weights, n_bins)
    assert expected_calibration_error(scored, n_bins, weights) == pytest.approx(slow, **EXACT)


def test_the_calibration_error_of_many_classes_is_that_of_the_called_class():
    scored = simulated(5, seed=2)
    stated, called = scored.probability_NC.max(axis=1), scored.probability_NC.argmax(axis=1)
    slow = slow_calibration_error(stated, called == scored.labels_N, np.ones(400), 15)
    assert expected_calibration_error(scored, 15) == pytest.approx(slow, **EXACT)


def test_a_protein_at_the_threshold_is_called():
    scored = Scored(np.array([[0.5, 0.5], [0.51, 0.49]]), np.array([1, 0]), 0.5)
    assert scored.calls_N.tolist() == [1, 0]


def test_without_a_threshold_the_likeliest_class_is_called():
    scored = Scored(np.array([[0.2, 0.3, 0.5], [0.4, 0.35, 0.25]]), np.array([0, 0]), None)
    assert scored.calls_N.tolist() == [2, 0]


@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize(
    "confusion",
    [[[5, 0], [3, 0]], [[0, 5], [0, 3]], [[5, 3], [0, 0]], [[0, 0], [0, 4]], [[2, 0, 0], [3, 0, 0], [4, 0, 0]]],
    ids=["none called", "all called", "no positive", "only positives", "one of three classes called"],
)
def test_the_matthews_correlation_is_zero_like_scikit_learns_when(confusion):
    confusion = np.array(confusion)
    true, called = np.indices(confusion.shape)
    labels, calls = np.repeat(true, confusion.ravel()), np.repeat(called, confusion.ravel())
    assert matthews_correlation(confusion.astype(float)) == sk.matthews_corrcoef(labels, calls) == 0.0


def scores(labels, threshold=0.5, n_classes=2):
    p_NC = np.random.default_rng(0).dirichlet(np.ones(n_classes), size=len(labels))
    return Scored(p_NC, np.array(labels), threshold if n_classes == 2 else None)


UNDEFINED = {
    "no positive": (scores([0, 0, 0, 0]), {"average_precision", "auroc", "precision", "recall", "f1"}),
    "no positive and none called": (
        scores([0, 0, 0], threshold=1.1),
        {"average_precision", "auroc", "precision", "recall", "f1"},
    ),
    "only positives": (scores([1, 1, 1]), {"average_precision", "auroc"}),
    "one protein of five classes": (scores([3], n_classes=5), {"average_precision", "auroc"}),
    "none called": (scores([0, 1, 1, 0], threshold=1.1), set()),
    "two of five classes present": (scores([0, 2, 2, 0, 2], n_classes=5), set()),
}


@pytest.mark.parametrize(("scored", "undefined"), UNDEFINED.values(), ids=UNDEFINED.keys())
def test_what_is_undefined_is_nan_without_a_warning_with(scored, undefined):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = all_metrics(scored, 10)
        estimates = cluster_bootstrap(
            scored, np.arange(len(scored.labels_N)).astype(str), n_bins=10, n_resamples=20, confidence=0.9, seed=0
        )
    assert {name for name, value in metrics.items() if np.isnan(value)} == undefined
    for name in undefined:
        assert np.isnan(estimates[name]).all(), name


def bootstrap(scored, clusters, seed=0, n_resamples=200, confidence=0.95):
    return cluster_bootstrap(
        scored, np.asarray(clusters), n_bins=10, n_resamples=n_resamples, confidence=confidence, seed=seed
    )


def test_estimates_are_the_plain_metrics_and_lie_in_their_intervals():
    scored = simulated(2, seed=1)
    estimates = bootstrap(scored, np.arange(400).astype(str))
    plain = all_metrics(scored, 10)
    for name, (value, low, high) in estimates.items():
        assert value == plain[name]
        # Resampling adds noise to every bin, so the calibration error alone is biased upwards.
        assert low < high, name
        assert name == "ece" or low < value < high, name


def test_the_bootstrap_is_decided_by_its_seed():
    scored = simulated(2, seed=1)
    clusters = (np.arange(400) // 4).astype(str)
    first, again, other = (bootstrap(scored, clusters, seed=seed, n_resamples=40) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_renaming_clusters_in_order_changes_nothing():
    scored = simulated(2, seed=1)
    numbers = np.arange(400) // 4
    assert bootstrap(scored, [f"a{n:03d}" for n in numbers]) == bootstrap(scored, [f"b{n:03d}" for n in numbers])


def test_relatives_that_agree_widen_the_interval():
    small = simulated(2, seed=5, n=60)
    scored = Scored(np.repeat(small.probability_NC, 10, axis=0), np.repeat(small.labels_N, 10), 0.4)
    together = bootstrap(scored, np.repeat(np.arange(60), 10).astype(str))
    apart = bootstrap(scored, np.arange(600).astype(str))
    for name in ("average_precision", "auroc", "mcc", "brier", "recall"):
        width, naive = (e[name].high - e[name].low for e in (together, apart))
        # Ten copies pretend to be ten times the data: the width is off by the root of ten.
        assert 2 < width / naive < 5, name


def test_a_higher_confidence_widens_the_interval():
    scored = simulated(2, seed=1)
    wide, narrow = (bootstrap(scored, np.arange(400).astype(str), confidence=c) for c in (0.99, 0.5))
    assert wide["mcc"].high - wide["mcc"].low > 2 * (narrow["mcc"].high - narrow["mcc"].low)


def test_ninety_percent_intervals_cover_the_truth_about_nine_times_in_ten():
    # Clusters of four copies; the true recall of the threshold is 0.7 by construction.
    covered = 0
    for repetition in range(80):
        rng = np.random.default_rng(repetition)
        found_K = rng.random(60) < 0.7
        p_N = np.repeat(np.where(found_K, 0.9, 0.1), 4)
        labels_N = np.ones(240, dtype=int)
        clusters_N = np.repeat(np.arange(60), 4).astype(str)
        recall = bootstrap(
            Scored(np.stack([1 - p_N, p_N], axis=1), labels_N, 0.5), clusters_N, n_resamples=150, confidence=0.9
        )["recall"]
        covered += recall.low <= 0.7 <= recall.high
    # With relatives taken for independent, about 60 % would be covered.
    assert 0.80 <= covered / 80 <= 0.98
