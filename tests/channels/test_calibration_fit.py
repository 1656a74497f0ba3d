"""Fitting and choosing a calibration: recovered from simulations, equal to scikit-learn."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from tfclass.channels.calibration_fit import _folds, check_calibration, choose_calibration, fit
from tfclass.config import CalibrationConfig
from tfclass.errors import ConfigError

METHODS = ("none", "temperature", "platt", "isotonic")


def simulated(temperature: float, n: int = 20_000, n_classes: int = 2, seed: int = 0):
    """Logits that are `temperature` times too large, with labels drawn from the true probabilities."""
    rng = np.random.default_rng(seed)
    true_NC = rng.normal(scale=1.5, size=(n, n_classes))
    uniform_N = rng.random((n, 1))
    labels_N = (softmax(true_NC, axis=1).cumsum(axis=1) < uniform_N).sum(axis=1)
    return temperature * true_NC, labels_N


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5, 8.0])
def test_a_known_temperature_is_recovered(temperature, n_classes):
    logits_NC, labels_N = simulated(temperature, n_classes=n_classes)
    fitted = fit("temperature", logits_NC, labels_N, np.ones(n_classes))
    assert fitted.temperature == pytest.approx(temperature, rel=0.04)
    assert fitted.log_weight_C == (0.0,) * n_classes


@pytest.mark.parametrize("seed", range(3))
def test_no_temperature_on_a_fine_grid_has_less_log_loss(seed):
    logits_NC, labels_N = simulated(3.0, n=300, seed=seed)
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 4001))
    losses = [-log_softmax(logits_NC / t, axis=1)[np.arange(300), labels_N].mean() for t in grid]
    fitted = fit("temperature", logits_NC, labels_N, np.ones(2))
    assert fitted.temperature == pytest.approx(grid[np.argmin(losses)], rel=0.002)
    assert log_loss(labels_N, fitted.probability(logits_NC)) <= min(losses) + 1e-12


def test_scores_without_an_error_end_at_a_temperature_above_zero():
    logits_NC = np.array([[3.0, -3.0], [-3.0, 3.0]] * 10)
    fitted = fit("temperature", logits_NC, np.array([0, 1] * 10), np.ones(2))
    assert 0.05 <= fitted.temperature < 0.5
    assert np.isfinite(fitted.probability(logits_NC)).all()


def test_class_weights_in_training_are_undone():
    logits_NC, labels_N = simulated(2.0, n=2000, n_classes=3)
    weight_C = np.array([0.5, 1.0, 8.0])
    plain = fit("temperature", logits_NC, labels_N, np.ones(3))
    shifted_NC = logits_NC + np.log(weight_C)
    weighted = fit("temperature", shifted_NC, labels_N, weight_C)
    assert weighted.log_weight_C == pytest.approx(np.log(weight_C))
    np.testing.assert_allclose(weighted.probability(shifted_NC), plain.probability(logits_NC), rtol=1e-9)


def test_a_class_that_training_lacked_shifts_nothing():
    logits_NC, labels_N = simulated(1.0, n=200, n_classes=3)
    fitted = fit("temperature", logits_NC, np.minimum(labels_N, 1), np.array([1.0, 2.0, 0.0]))
    assert fitted.log_weight_C == pytest.approx((0.0, np.log(2), 0.0))


def margins(curve, n=1500, seed=0, scale=3.0):
    """Logits of two classes, with labels drawn from the probability that `curve` gives their difference."""
    rng = np.random.default_rng(seed)
    margin_N = scale * rng.normal(size=n)
    labels_N = (rng.random(n) < curve(margin_N)).astype(int)
    return np.stack([-margin_N / 2, margin_N / 2], axis=1), labels_N


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("slope", "bias"), [(1.0, 0.0), (0.4, -1.5), (3.0, 2.0), (2.0, -9.0)])
def test_platts_curve_is_scikit_learns_logistic_regression(slope, bias, seed):
    logits_NC, labels_N = margins(lambda m: expit(slope * m + bias), seed=seed)
    fitted = fit("platt", logits_NC, labels_N, np.ones(2))
    margin_N1 = logits_NC[:, 1:] - logits_NC[:, :1]
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(margin_N1, labels_N)
    assert 1 / fitted.temperature == pytest.approx(theirs.coef_[0, 0], rel=1e-4)
    assert fitted.bias == pytest.approx(theirs.intercept_[0], rel=1e-4, abs=1e-4)
    np.testing.assert_allclose(fitted.probability(logits_NC), theirs.predict_proba(margin_N1), atol=1e-5)


def as_in_scikit_learn(margin_N, positive_N):
    least = 1 / (len(margin_N) + 2)
    return IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip").fit(margin_N, positive_N)


@pytest.mark.parametrize("seed", range(3))
def test_the_isotonic_curve_is_scikit_learns_on_and_between_and_beyond_the_proteins(seed):
    logits_NC, labels_N = margins(lambda m: 0.1 + 0.8 * expit(m), seed=seed)
    fitted = fit("isotonic", logits_NC, labels_N, np.ones(2))
    theirs = as_in_scikit_learn(logits_NC[:, 1] - logits_NC[:, 0], labels_N)
    new_N = np.linspace(-40, 40, 5001)
    for margin_N in (logits_NC[:, 1] - logits_NC[:, 0], new_N):
        p_NC = fitted.probability(np.stack([-margin_N / 2, margin_N / 2], axis=1))
        np.testing.assert_allclose(p_NC[:, 1], theirs.predict(margin_N), atol=1e-12)
        np.testing.assert_allclose(p_NC.sum(axis=1), 1.0, atol=1e-15)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(-4, 4), st.booleans()), min_size=1, max_size=40))
def test_the_isotonic_curve_is_scikit_learns_with_ties(rows):
    margin_N = np.array([m for m, _ in rows], dtype=float)
    positive_N = np.array([p for _, p in rows])
    logits_NC = np.stack([np.zeros(len(rows)), margin_N], axis=1)
    p_N = fit("isotonic", logits_NC, positive_N.astype(int), np.ones(2)).probability(logits_NC)[:, 1]
    np.testing.assert_allclose(p_N, as_in_scikit_learn(margin_N, positive_N).predict(margin_N), atol=1e-12)


def test_the_isotonic_curve_is_never_certain():
    logits_NC, labels_N = margins(lambda m: (m > 0).astype(float), n=400)
    p_NC = fit("isotonic", logits_NC, labels_N, np.ones(2)).probability(100 * logits_NC)
    # 400 proteins without an exception: one in 402 may still be one.
    assert sorted(set(np.round(p_NC[:, 1], 12))) == pytest.approx([1 / 402, 401 / 402])


@pytest.mark.parametrize("method", METHODS)
def test_class_weights_are_undone_by_every_method(method):
    logits_NC, labels_N = margins(lambda m: expit(m / 2 - 1))
    weight_C = np.array([0.6, 3.0])
    plain = fit(method, logits_NC, labels_N, np.ones(2)).probability(logits_NC)
    weighted = fit(method, logits_NC + np.log(weight_C), labels_N, weight_C).probability(logits_NC + np.log(weight_C))
    np.testing.assert_allclose(weighted, plain, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_separated_classes_still_give_finite_numbers(method):
    logits_NC = np.array([[3.0, -3.0], [-3.0, 3.0]] * 10)
    fitted = fit(method, logits_NC, np.array([0, 1] * 10), np.ones(2))
    assert np.isfinite(np.log(fitted.probability(logits_NC)[:10, 1])).all()
    assert fitted.prevalence == 0.5


@pytest.mark.parametrize("method", METHODS)
def test_one_class_alone_still_gives_finite_numbers(method):
    logits_NC = np.random.default_rng(0).normal(size=(20, 2))
    fitted = fit(method, logits_NC, np.ones(20, dtype=int), np.ones(2))
    assert np.isfinite(fitted.probability(logits_NC)).all()
    assert fitted.prevalence is None


def choose(logits_NC, labels_N, clusters_N=None, method="auto", folds=5):
    clusters_N = np.arange(len(labels_N)) if clusters_N is None else clusters_N
    config = CalibrationConfig.default(method=method, folds=folds)
    return choose_calibration(logits_NC, labels_N, clusters_N.astype(str), np.ones(logits_NC.shape[1]), config)


CURVES = {
    "none": lambda m: expit(m),
    "temperature": lambda m: expit(m / 2.5),
    "platt": lambda m: expit(m / 1.5 - 1.5),
    "isotonic": lambda m: np.where(m < -2, 0.02, np.where(m < 2, 0.35, 0.97)),
}


@pytest.mark.parametrize("method", METHODS)
def test_the_kind_that_made_the_labels_is_chosen_nearly_always(method):
    choices = [choose(*margins(CURVES[method], n=1000, seed=seed)) for seed in range(10)]
    # One standard error is passed by chance about one time in six.
    assert sum(choice.calibration.method == method for choice in choices) >= 7
    for choice in choices:
        assert choice.candidates.keys() == set(METHODS)
        assert choice.candidates[choice.calibration.method].behind <= 1


@pytest.mark.parametrize("seed", range(3))
def test_what_fits_best_where_it_was_fitted_is_not_what_is_chosen(seed):
    choice = choose(*margins(CURVES["temperature"], n=300, seed=seed))
    fitted = {name: candidate.log_loss for name, candidate in choice.candidates.items()}
    held_out = {name: candidate.cross_validated for name, candidate in choice.candidates.items()}
    assert min(fitted, key=fitted.__getitem__) == "isotonic"
    assert held_out["isotonic"] > held_out["temperature"] > fitted["temperature"]
    assert choice.calibration.method != "isotonic"


def test_relatives_do_not_help_each_other_across_folds():
    # Every protein ten times: dealt out singly, a curve is judged on the very proteins that drew it.
    logits_NC, labels_N = margins(CURVES["temperature"], n=60)
    logits_NC, labels_N = np.repeat(logits_NC, 10, axis=0), np.repeat(labels_N, 10)
    together = choose(logits_NC, labels_N, np.repeat(np.arange(60), 10)).candidates["isotonic"]
    apart = choose(logits_NC, labels_N).candidates["isotonic"]
    assert apart.cross_validated < together.cross_validated
    assert together.log_loss == apart.log_loss


def test_relatives_that_agree_tell_no_more_than_one_of_them():
    logits_NC, labels_N = margins(CURVES["platt"], n=200)
    once = choose(logits_NC, labels_N, np.arange(1000, 1200)).candidates
    copies = np.repeat(np.arange(1000, 1200), 9)
    often = choose(np.repeat(logits_NC, 9, axis=0), np.repeat(labels_N, 9), copies).candidates
    for name in ("none", "temperature", "platt"):
        assert often[name].behind == pytest.approx(once[name].behind, rel=1e-3, abs=1e-6), name
    assert max(candidate.behind for candidate in once.values()) > 0.5


def test_every_fold_has_its_share_of_a_rare_class_and_the_seed_decides_which():
    labels_N = (np.arange(200) < 10).astype(int)
    clusters_N = np.arange(1000, 1200).astype(str)
    folds = [_folds(labels_N, clusters_N, CalibrationConfig.default(folds=5, seed=seed)) for seed in (0, 0, 1)]
    for folds_N in folds:
        assert np.bincount(folds_N[labels_N == 1]).tolist() == [2] * 5
        assert np.bincount(folds_N).tolist() == [40] * 5
    assert (folds[0] == folds[1]).all()
    assert (folds[0] != folds[2]).any()


def test_the_held_out_loss_is_that_of_a_slow_loop():
    logits_NC, labels_N = margins(CURVES["platt"], n=40)
    # One cluster per fold, so that it does not matter which fold it is.
    clusters_N = np.arange(40) // 8
    total = 0.0
    for cluster in range(5):
        out_N = clusters_N == cluster
        fitted = fit("platt", logits_NC[~out_N], labels_N[~out_N], np.ones(2))
        total += log_loss(labels_N[out_N], fitted.probability(logits_NC[out_N]), labels=[0, 1], normalize=False)
    found = choose(logits_NC, labels_N, clusters_N).candidates["platt"].cross_validated
    assert found == pytest.approx(total / 40, rel=1e-12)


def test_the_chosen_kind_is_fitted_on_all_proteins():
    logits_NC, labels_N = margins(CURVES["platt"])
    assert choose(logits_NC, labels_N).calibration == fit("platt", logits_NC, labels_N, np.ones(2))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_that_is_configured_is_taken_and_the_others_are_still_compared(method):
    choice = choose(*margins(CURVES["temperature"], n=200), method=method)
    assert choice.calibration.method == method
    assert choice.reason == "as configured"
    assert all(candidate.cross_validated > 0 for candidate in choice.candidates.values())


def test_several_classes_choose_between_none_and_temperature():
    choice = choose(*simulated(3.0, n=2000, n_classes=5))
    assert choice.calibration.method == "temperature"
    assert choice.candidates.keys() == {"none", "temperature"}
    assert choice.calibration.prevalence is None
    assert choose(*simulated(1.0, n=2000, n_classes=5)).calibration.method == "none"


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_a_method_for_two_classes_is_refused_for_more(method):
    with pytest.raises(ConfigError) as raised:
        check_calibration(CalibrationConfig.default(method=method), 5)
    assert str(raised.value) == (
        f"training.calibration.method: found {method} for 5 classes; expected auto, none or temperature"
    )
    check_calibration(CalibrationConfig.default(method=method), 2)


FEW = {
    "fewer clusters than folds": np.arange(30) % 4,
    "all positives in one cluster": np.where(np.arange(30) < 10, 0, np.arange(30)),
}


@pytest.mark.parametrize("clusters_N", FEW.values(), ids=FEW.keys())
def test_without_enough_clusters_it_is_the_temperature(clusters_N):
    logits_NC = np.random.default_rng(0).normal(size=(30, 2))
    labels_N = (np.arange(30) < 10).astype(int)
    choice = choose(logits_NC, labels_N, clusters_N)
    assert choice.calibration == fit("temperature", logits_NC, labels_N, np.ones(2))
    assert choice.reason == "too few clusters of each class for cross-validation"
    assert all(c.cross_validated is None and c.behind is None for c in choice.candidates.values())


def test_the_choice_is_json_for_the_provenance():
    choice = choose(*margins(CURVES["isotonic"]))
    content = json.loads(json.dumps(choice.as_json(), allow_nan=False))
    assert content["method"] == "isotonic"
    assert content["candidates"]["platt"]["cross_validated"] == choice.candidates["platt"].cross_validated
    assert content["prevalence"] == choice.calibration.prevalence
