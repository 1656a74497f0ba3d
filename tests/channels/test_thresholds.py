"""Rules for the threshold: what validation fixes, and what the input decides."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import matthews_corrcoef

from tests.channels.test_calibration import drawn
from tfclass.channels.calibration import at_prevalence, estimate_prevalence, expected_fdr
from tfclass.channels.thresholds import Calling, OperatingPoint, decimals_for, parse_rule
from tfclass.errors import ConfigError
from tfclass.evaluation.threshold_fit import max_mcc_threshold, operating_points

KNOWN = 0.3
SHARES = [0.0005, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.29, 0.31, 0.4, 0.6, 0.8, 0.95]


def fitted(seed, n=400):
    """Probabilities and labels of a validation split, and what is fitted on them."""
    rng = np.random.default_rng(seed)
    positive_N = rng.random(n) < KNOWN
    p_N = np.round(rng.beta(0.3 + 3 * positive_N, 0.3 + 3 * ~positive_N).clip(1e-6, 1 - 1e-6), 6)
    return p_N, positive_N, Calling(max_mcc_threshold(p_N, positive_N), operating_points(p_N, positive_N), KNOWN)


def test_probabilities_threshold_and_points_move_together_from_the_prevalence_of_the_fit():
    p_NC = np.array([[0.5, 0.5], [0.2, 0.8]])
    calling = Calling(0.5, (), 0.25)
    shifted_NC = calling.probability_at(p_NC, 0.05)
    np.testing.assert_allclose(shifted_NC[:, 1], at_prevalence(p_NC[:, 1], 0.25, 0.05))
    np.testing.assert_allclose(shifted_NC.sum(axis=1), 1.0)
    assert calling.at_prevalence(0.05) == (pytest.approx(shifted_NC[0, 1], abs=1e-6), (), 0.05)
    points = (OperatingPoint(0.2, 0.3, 1.0), OperatingPoint(0.6, 0.1, 0.8))
    moved = tuple(point.at_prevalence(0.25, 0.05) for point in points)
    assert Calling(0.2, points, 0.25).at_prevalence(0.05).operating_points == moved


def test_what_does_not_know_its_prevalence_or_has_several_classes_says_so():
    for move in (lambda c: c.at_prevalence(0.05), lambda c: c.probability_at(np.array([[0.5, 0.5]]), 0.05)):
        with pytest.raises(ConfigError) as raised:
            move(Calling(0.5))
        assert str(raised.value) == (
            "prevalence: found a model that does not record the prevalence it was calibrated at; train it again"
        )
        with pytest.raises(ConfigError, match="found a model of several classes; expected one of two classes"):
            move(Calling(None))


def test_at_the_own_prevalence_nothing_changes():
    calling = Calling(0.44, (OperatingPoint(0.3, 0.2, 0.9), OperatingPoint(0.5, 0.05, 0.7)), 0.3)
    assert calling.at_prevalence(0.3) == calling
    assert calling.at_prevalence(0.3).choose("recall=0.8") == 0.3


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0.01, 0.99))
def test_an_unchanged_prevalence_raises_no_rate_of_false_discoveries(false, true, prevalence):
    point = OperatingPoint(0.5, false / (false + true), 0.9)
    assert point.at_prevalence(prevalence, prevalence).fdr <= point.fdr * (1 + 1e-15)


def test_an_operating_point_moves_to_another_prevalence_as_the_proteins_do():
    p_N, positive_N = drawn(0.3, 400_000, seed=2)
    called_N = p_N >= 0.6
    point = OperatingPoint(0.6, float(1 - positive_N[called_N].mean()), float(called_N[positive_N].mean()))
    moved = point.at_prevalence(0.3, 0.06)
    # The same cut among proteins of which 6 % are positive.
    rng = np.random.default_rng(3)
    rare_N = rng.random(400_000) < 0.06
    score_N = rng.normal(size=400_000) + 2.0 * rare_N
    rare_p_N = expit(np.log(0.06 / 0.94) + 2.0 * score_N - 2.0)
    rare_called_N = rare_p_N >= moved.threshold
    assert moved.fdr == pytest.approx(1 - rare_N[rare_called_N].mean(), abs=0.01)
    assert moved.recall == point.recall == pytest.approx(rare_called_N[rare_N].mean(), abs=0.01)


@pytest.mark.parametrize("seed", range(12))
def test_with_a_lower_prevalence_the_threshold_is_no_higher_and_no_more_proteins_are_predicted(seed):
    p_N, _, calling = fitted(seed)
    thresholds = [calling.at_prevalence(share).threshold for share in SHARES]
    assert thresholds == sorted(thresholds)
    moved = [
        at_prevalence(p_N, KNOWN, share).round(decimals_for(t)) for share, t in zip(SHARES, thresholds, strict=True)
    ]
    predicted = [int((p >= t).sum()) for p, t in zip(moved, thresholds, strict=True)]
    assert predicted == sorted(predicted)
    assert all(len(str(threshold)) <= 2 + decimals_for(threshold) for threshold in thresholds if threshold >= 1e-4)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**6), st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_the_threshold_follows_the_prevalence_between_any_two(seed, one, other):
    low, high = sorted((one, other))
    assume(low < high)
    _, _, calling = fitted(seed, n=60)
    # Of the probabilities as calibrated: what decides which proteins are predicted.
    kept = [at_prevalence(np.array([calling.at_prevalence(share).threshold]), share, KNOWN)[0] for share in (low, high)]
    assert calling.at_prevalence(low).threshold <= calling.at_prevalence(high).threshold
    assert kept[0] >= kept[1] - 1e-3


@pytest.mark.parametrize("share", [0.1, 0.2, 0.29, 0.32, 0.4])
def test_near_the_prevalence_of_the_fit_the_threshold_has_the_greatest_matthews_correlation(share):
    rng = np.random.default_rng(5)
    positive_N = rng.random(40_000) < KNOWN
    p_N = np.round(expit(np.log(KNOWN / (1 - KNOWN)) + 3.0 * (rng.normal(size=40_000) + 3.0 * positive_N) - 4.5), 6)
    calling = Calling(max_mcc_threshold(p_N, positive_N), operating_points(p_N, positive_N), KNOWN)
    moved_N = at_prevalence(p_N, KNOWN, share)
    weight_N = np.where(positive_N, share / KNOWN, (1 - share) / (1 - KNOWN))

    def mcc(threshold):
        return matthews_corrcoef(positive_N, moved_N >= threshold, sample_weight=weight_N)

    best = max(mcc(threshold) for threshold in np.linspace(0.02, 0.98, 97))
    assert mcc(calling.at_prevalence(share).threshold) > best - 0.003


def test_of_equally_good_operating_points_the_lowest_is_taken():
    points = (OperatingPoint(0.2, 0.1, 0.8), OperatingPoint(0.6, 0.1, 0.8), OperatingPoint(0.7, 0.1, 0.5))
    moved = Calling(0.2, points, 0.3).at_prevalence(0.25)
    assert moved.threshold == pytest.approx(at_prevalence(np.array([0.2]), 0.3, 0.25)[0], abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0, 1))
def test_the_lowest_threshold_whose_expected_false_discovery_rate_is_small_enough(probabilities, rate):
    p_N = np.round(np.array(probabilities), 6)
    chosen, prevalence = Calling(0.5).decide(p_N, f"fdr={rate}")
    fitting = [p for p in p_N if expected_fdr(p_N, p) <= rate * (1 + 1e-12)]
    assert prevalence is None
    assert chosen == (min(fitting) if fitting else 1.0)
    assert fitting or not (p_N >= chosen).any()


def test_the_rate_holds_where_positives_are_rare():
    # Calibrated where 30 % are positive; 5 % are here.
    rng = np.random.default_rng(6)
    positive_N = rng.random(100_000) < 0.05
    p_N = expit(np.log(0.3 / 0.7) + 2.5 * (rng.normal(size=100_000) + 2.5 * positive_N) - 2.5**2 / 2)
    calling = Calling(0.5, (), 0.3)
    for rate in (0.01, 0.05, 0.2):
        decision = calling.decide(p_N, f"fdr={rate}")
        predicted_N = at_prevalence(p_N, 0.3, decision.prevalence) >= decision.threshold
        assert 1 - positive_N[predicted_N].mean() == pytest.approx(rate, abs=0.015)
        assert decision.prevalence == pytest.approx(estimate_prevalence(p_N, 0.3), abs=1e-6)
        # As they are, the probabilities promise too much.
        assert 1 - positive_N[p_N >= calling.decide(p_N, f"fdr={rate}", 0.3).threshold].mean() > 1.5 * rate


def test_a_prevalence_that_is_stated_is_not_estimated():
    p_N, _, calling = fitted(0)
    assert calling.decide(p_N, "fdr=0.1", 0.01).prevalence == 0.01
    assert calling.decide(p_N, None, 0.01) == (calling.at_prevalence(0.01).threshold, 0.01)
    assert calling.decide(p_N, "recall=0.9", 0.01).threshold == calling.at_prevalence(0.01).choose("recall=0.9")
    assert calling.decide(p_N, 0.7, 0.01) == (0.7, 0.01)


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("fdr=2", "'fdr=2'"),
        ("fdr=5", "'fdr=5'"),
        ("fdr=5%", "'fdr=5%'"),
        ("fdr=nan", "'fdr=nan'"),
        ("FDR=0.1", "'FDR=0.1'"),
        (-0.1, "'-0.1'"),
        ("", "''"),
    ],
)
def test_what_is_no_rule_is_refused(rule, found):
    with pytest.raises(ConfigError) as caught:
        parse_rule(rule)
    expected = "a probability between 0 and 1, max-mcc, fdr=X or recall=X, such as fdr=0.05"
    assert str(caught.value) == f"threshold: found {found}; expected {expected}"


def test_a_recall_that_validation_did_not_reach_is_refused():
    with pytest.raises(ConfigError) as caught:
        Calling(0.6, (OperatingPoint(0.6, 0.1, 0.8),), 0.3).choose("recall=0.9")
    assert str(caught.value) == "threshold: found recall=0.9; expected at most recall=0.8, the model's best"
