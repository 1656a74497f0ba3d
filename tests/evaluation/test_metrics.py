"""Metrics against scikit-learn and slow loops."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax
from sklearn import metrics as sk

from tfclass.config import EvaluationConfig
from tfclass.evaluation.metrics import (
    all_metrics,
    average_precision,
    metrics_at,
    resampled_metrics,
    scores_by_class,
    undefined_reasons,
)
from tfclass.evaluation.scored import Scored, matthews_correlation

EXACT = {"rel": 1e-12, "abs": 1e-12}
BOTH = {
    "average_precision",
    "auroc",
    "mcc",
    "f1",
    "precision",
    "recall",
    "balanced_accuracy",
    "brier",
    "log_loss",
    "ece",
}
BINARY = BOTH | {"specificity", "recall_at_fdr_1", "recall_at_fdr_5"}
MULTICLASS = BOTH | {"f1_weighted"}


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
    p_NC, labels_N, predicted_N = scored.probability_NC, scored.labels_N, scored.predicted_N
    weighted = {"sample_weight": weights_N}
    if p_NC.shape[1] == 2:
        precision, recall, _ = sk.precision_recall_curve(labels_N, p_NC[:, 1], **weighted)
        own = {
            "average_precision": sk.average_precision_score(labels_N, p_NC[:, 1], **weighted),
            "auroc": sk.roc_auc_score(labels_N, p_NC[:, 1], **weighted),
            "brier": sk.brier_score_loss(labels_N, p_NC[:, 1], **weighted),
            "specificity": sk.recall_score(labels_N, predicted_N, pos_label=0, **weighted),
            "recall_at_fdr_1": recall[precision >= 0.99 - 1e-12].max(),
            "recall_at_fdr_5": recall[precision >= 0.95 - 1e-12].max(),
        }
        mean = "binary"
    else:
        true_NC = np.eye(p_NC.shape[1])[labels_N]
        squares_N = ((p_NC - true_NC) ** 2).sum(axis=1)
        own = {
            "average_precision": sk.average_precision_score(true_NC, p_NC, average="macro", **weighted),
            "auroc": sk.roc_auc_score(true_NC, p_NC, average="macro", **weighted),
            "brier": np.average(squares_N, weights=weights_N),
            "f1_weighted": sk.f1_score(labels_N, predicted_N, average="weighted", zero_division=0, **weighted),
        }
        if p_NC.shape[1] > 3:
            classes = range(p_NC.shape[1])
            own["top_3_accuracy"] = sk.top_k_accuracy_score(labels_N, p_NC, k=3, labels=classes, **weighted)
        mean = "macro"
    return own | {
        "mcc": sk.matthews_corrcoef(labels_N, predicted_N, **weighted),
        "f1": sk.f1_score(labels_N, predicted_N, average=mean, zero_division=0, **weighted),
        "precision": sk.precision_score(labels_N, predicted_N, average=mean, zero_division=0, **weighted),
        "recall": sk.recall_score(labels_N, predicted_N, average=mean, zero_division=0, **weighted),
        "balanced_accuracy": sk.balanced_accuracy_score(labels_N, predicted_N, **weighted),
        "log_loss": sk.log_loss(labels_N, p_NC, labels=range(p_NC.shape[1]), **weighted),
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weighted", [False, True], ids=["without weights", "with weights, some of them zero"])
@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_every_metric_is_that_of_scikit_learn(n_classes, weighted, seed):
    scored = simulated(n_classes, seed)
    weights_N = np.random.default_rng(100 + seed).integers(0, 4, size=400).astype(float) if weighted else None
    ours, theirs = all_metrics(scored, 10, weights_N), by_scikit_learn(scored, weights_N)
    assert ours.keys() == theirs.keys() | {"ece"}
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, **EXACT), name


@pytest.mark.parametrize("n_classes", [2, 6])
def test_fractional_weights_many_at_once_are_scikit_learns_one_by_one(n_classes):
    scored = simulated(n_classes, seed=3)
    weights_NR = np.random.default_rng(5).exponential(size=(400, 7))
    weights_NR[::5] = 0.0
    ours = metrics_at(scored, 10, weights_NR)
    for r in range(7):
        for name, value in by_scikit_learn(scored, weights_NR[:, r]).items():
            assert ours[name][r] == pytest.approx(value, **EXACT), name


def test_a_certain_error_costs_what_scikit_learn_says():
    scored = Scored(np.array([[1.0, 0.0], [0.0, 1.0], [0.3, 0.7]]), np.array([1, 1, 0]), 0.5)
    expected = sk.log_loss(scored.labels_N, scored.probability_NC)
    assert all_metrics(scored, 10)["log_loss"] == pytest.approx(expected, **EXACT)


def test_equal_probabilities_share_the_top_three_as_in_scikit_learn():
    rng = np.random.default_rng(0)
    p_NC = rng.integers(1, 4, size=(500, 6)).astype(float)
    p_NC /= p_NC.sum(axis=1, keepdims=True)
    labels_N = rng.integers(0, 6, size=500)
    expected = sk.top_k_accuracy_score(labels_N, p_NC, k=3, labels=range(6))
    assert all_metrics(Scored(p_NC, labels_N, None), 10)["top_3_accuracy"] == pytest.approx(expected, **EXACT)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_weight_is_the_same_as_repeating_the_row(n_classes):
    scored = simulated(n_classes, seed=7)
    times = np.random.default_rng(107).integers(0, 4, size=400)
    repeated = Scored(
        np.repeat(scored.probability_NC, times, axis=0), np.repeat(scored.labels_N, times), scored.threshold
    )
    weighted, plain = all_metrics(scored, 10, times.astype(float)), all_metrics(repeated, 10)
    assert weighted.keys() == plain.keys() == (BINARY if n_classes == 2 else MULTICLASS | {"top_3_accuracy"})
    for name in plain:
        assert weighted[name] == pytest.approx(plain[name], **EXACT), name


def test_log_probabilities_rank_like_the_difference_of_the_logits():
    rng = np.random.default_rng(0)
    logits_NC = rng.normal(size=(300, 2))
    labels_N = (rng.random(300) < 0.3).astype(int)
    difference_N = logits_NC[:, 1] - logits_NC[:, 0]
    log_probability_NC = log_softmax(logits_NC, axis=1)
    expected = sk.average_precision_score(labels_N, difference_N)
    assert average_precision(log_probability_NC, labels_N) == pytest.approx(expected, **EXACT)
    auroc = all_metrics(Scored(log_probability_NC, labels_N, None, are_probabilities=False), 1)["auroc"]
    assert auroc == pytest.approx(sk.roc_auc_score(labels_N, difference_N), **EXACT)


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
    assert all_metrics(scored, n_bins, weights)["ece"] == pytest.approx(slow, **EXACT)


def test_the_calibration_error_of_many_classes_is_that_of_the_predicted_class():
    scored = simulated(5, seed=2)
    stated, predicted = scored.probability_NC.max(axis=1), scored.probability_NC.argmax(axis=1)
    slow = slow_calibration_error(stated, predicted == scored.labels_N, np.ones(400), 15)
    assert all_metrics(scored, 15)["ece"] == pytest.approx(slow, **EXACT)


def test_a_protein_at_the_threshold_is_predicted():
    scored = Scored(np.array([[0.5, 0.5], [0.51, 0.49]]), np.array([1, 0]), 0.5)
    assert scored.predicted_N.tolist() == [1, 0]


def test_without_a_threshold_the_likeliest_class_is_predicted():
    scored = Scored(np.array([[0.2, 0.3, 0.5], [0.4, 0.35, 0.25]]), np.array([0, 0]), None)
    assert scored.predicted_N.tolist() == [2, 0]


@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize(
    "confusion",
    [[[5, 0], [3, 0]], [[0, 5], [0, 3]], [[5, 3], [0, 0]], [[0, 0], [0, 4]], [[2, 0, 0], [3, 0, 0], [4, 0, 0]]],
    ids=["none predicted", "all predicted", "no positive", "only positives", "one of three classes predicted"],
)
def test_the_matthews_correlation_is_zero_like_scikit_learns_when(confusion):
    confusion = np.array(confusion)
    true, predicted = np.indices(confusion.shape)
    labels, calls = np.repeat(true, confusion.ravel()), np.repeat(predicted, confusion.ravel())
    assert matthews_correlation(confusion.astype(float)) == sk.matthews_corrcoef(labels, calls) == 0.0


def scores(labels, threshold=0.5, n_classes=2):
    p_NC = np.random.default_rng(0).dirichlet(np.ones(n_classes), size=len(labels))
    return Scored(p_NC, np.array(labels), threshold if n_classes == 2 else None)


def bits(scores_N, labels_N, threshold=None):
    """Scores on any scale, of which higher ones are for the positive class."""
    return Scored(np.stack([-scores_N, scores_N], axis=1), labels_N, threshold, are_probabilities=False)


RANKING = {"average_precision", "auroc", "mcc"}
WITHOUT_A_POSITIVE = RANKING | {"recall", "f1", "balanced_accuracy", "recall_at_fdr_1", "recall_at_fdr_5"}
UNDEFINED = {
    "no positive": (scores([0, 0, 0, 0], threshold=0.0), WITHOUT_A_POSITIVE),
    "no positive and none predicted": (scores([0, 0, 0], threshold=1.1), WITHOUT_A_POSITIVE | {"precision"}),
    "only positives": (scores([1, 1, 1]), RANKING | {"specificity", "balanced_accuracy"}),
    "only positives and none predicted": (
        scores([1, 1], threshold=1.1),
        RANKING | {"specificity", "balanced_accuracy", "precision"},
    ),
    "one protein of five classes": (scores([3], n_classes=5), RANKING),
    "none predicted": (scores([0, 1, 1, 0], threshold=1.1), {"precision"}),
    "two of five classes present": (scores([0, 2, 2, 0, 2], n_classes=5), set()),
    "scores that are no probabilities": (
        bits(np.array([-3.0, 40.0, 0.0, 12.5]), np.array([0, 1, 0, 1]), 5.0),
        {"brier", "log_loss", "ece"},
    ),
    "scores that are no probabilities of one protein": (
        bits(np.array([-3.0]), np.array([0])),
        WITHOUT_A_POSITIVE | {"precision", "brier", "log_loss", "ece"},
    ),
}


@pytest.mark.parametrize(("scored", "undefined"), UNDEFINED.values(), ids=UNDEFINED.keys())
def test_what_is_undefined_is_nan_and_has_a_reason_and_no_warning_with(scored, undefined):
    clusters_N = np.arange(len(scored.labels_N)).astype(str)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        metrics = all_metrics(scored, 10)
        estimates = resampled_metrics(scored, clusters_N, EvaluationConfig.default(n_bootstrap=20)).estimates()
    assert {name for name, value in metrics.items() if np.isnan(value)} == undefined
    assert undefined_reasons(scored).keys() == undefined
    assert all(undefined_reasons(scored).values())
    for name in undefined:
        assert estimates[name].value is None, name


def test_the_reason_says_which_proteins_are_missing():
    assert undefined_reasons(scores([0, 0]))["auroc"] == "no positive protein"
    assert undefined_reasons(scores([1, 1]))["auroc"] == "no negative protein"
    assert undefined_reasons(scores([2, 2], n_classes=4))["auroc"] == "proteins of one class only"
    assert undefined_reasons(scores([0, 1], threshold=2.0)) == {"precision": "no protein is predicted positive"}


@settings(max_examples=80, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from([-np.inf, -20.0, 0.0, 0.5, 33.0, np.inf]), st.booleans()), min_size=1),
    threshold=st.sampled_from([None, 0.0, 10.0]),
)
def test_scores_on_any_scale_are_scored_as_their_ranks_are(rows, threshold):
    scores_N = np.array([score for score, _ in rows])
    labels_N = np.array([int(positive) for _, positive in rows])
    scored = bits(scores_N, labels_N, threshold)
    assert scored.predicted_N.tolist() == (scores_N > 0 if threshold is None else scores_N >= threshold).tolist()
    ours = all_metrics(scored, 10)
    if 0 < labels_N.sum() < len(labels_N):
        # scikit-learn takes no infinite score; ranks say the same.
        ranks_N = np.unique(scores_N, return_inverse=True)[1]
        assert ours["average_precision"] == pytest.approx(sk.average_precision_score(labels_N, ranks_N), **EXACT)
        assert ours["auroc"] == pytest.approx(sk.roc_auc_score(labels_N, ranks_N), **EXACT)
        assert ours["mcc"] == pytest.approx(sk.matthews_corrcoef(labels_N, scored.predicted_N), **EXACT)


@pytest.mark.parametrize("n_classes", [2, 3, 6])
def test_the_table_of_classes_is_scikit_learns(n_classes):
    scored = simulated(n_classes, seed=9)
    names = [f"class {c}" for c in range(n_classes)]
    precision, recall, f1, support = sk.precision_recall_fscore_support(scored.labels_N, scored.predicted_N)
    for c, row in enumerate(scores_by_class(scored, names)):
        ap = sk.average_precision_score(scored.labels_N == c, scored.probability_NC[:, c])
        assert (row.name, row.support, row.predicted) == (names[c], support[c], (scored.predicted_N == c).sum())
        found = (row.precision, row.recall, row.f1, row.average_precision)
        assert found == pytest.approx((precision[c], recall[c], f1[c], ap), **EXACT)
        assert row.undefined == {}


def test_a_class_that_is_not_there_or_never_predicted_says_so():
    p_NC = np.array([[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    rows = scores_by_class(Scored(p_NC, np.array([0, 1, 0]), None), ["a", "b", "c"])
    for row in rows:
        numbers = {"precision": row.precision, "recall": row.recall, "f1": row.f1, "ap": row.average_precision}
        missing = {"ap" if name == "average_precision" else name for name in row.undefined}
        assert {name for name, value in numbers.items() if value is None} == missing
    assert rows[0].undefined == {}
    assert rows[1].undefined == {"precision": "never predicted"}
    assert rows[2].undefined == dict.fromkeys(("recall", "f1", "average_precision"), "no protein of this class")
    alone = scores_by_class(Scored(p_NC, np.array([0, 0, 0]), None), ["a", "b", "c"])[0]
    assert alone.undefined == {"average_precision": "no protein of another class"}


@pytest.mark.parametrize("n_classes", [2, 5])
def test_the_confusion_is_scikit_learns(n_classes):
    scored = simulated(n_classes, seed=4)
    expected = sk.confusion_matrix(scored.labels_N, scored.predicted_N, labels=range(n_classes))
    np.testing.assert_array_equal(scored.confusion_CC, expected)
