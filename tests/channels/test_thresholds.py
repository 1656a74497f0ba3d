"""Rules for the threshold: what validation fixes, and what the input decides."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.special import expit
from sklearn.metrics import matthews_corrcoef

from tests.channels.test_calibration import drawn, expected_fdr
from tfclass.bundle.scorer import Scored as ScoredByBundle
from tfclass.channels.calibration import at_prevalence, estimate_prevalence
from tfclass.channels.threshold_fit import expected_mcc_threshold, operating_points
from tfclass.channels.thresholds import (
    DecisionRule,
    OperatingPoint,
    OperatingPoints,
    decimals_for,
    depends_on_input,
    parse_rule,
)
from tfclass.errors import ConfigError
from tfclass.evaluation.scored import Scored
from tfclass.inference.predictor import Predictor
from tfclass.sequences.fasta import Record

KNOWN = 0.3
SHARES = [0.0005, 0.005, 0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.29, 0.31, 0.4, 0.6, 0.8, 0.95]


def fitted(seed, n=400):
    """Probabilities and labels of a validation split, and what is fitted on them."""
    rng = np.random.default_rng(seed)
    positive_N = rng.random(n) < KNOWN
    p_N = np.round(rng.beta(0.3 + 3 * positive_N, 0.3 + 3 * ~positive_N).clip(1e-6, 1 - 1e-6), 6)
    return p_N, positive_N, DecisionRule(expected_mcc_threshold(p_N), operating_points(p_N), KNOWN)


def test_probabilities_threshold_and_points_move_together_from_the_prevalence_of_the_fit():
    p_NC = np.array([[0.5, 0.5], [0.2, 0.8]])
    own = DecisionRule(0.5, (), 0.25)
    moved = own.at_prevalence(0.05)
    shown_NC = moved.shown(p_NC)
    np.testing.assert_allclose(shown_NC[:, 1], at_prevalence(p_NC[:, 1], 0.25, 0.05), rtol=0, atol=5e-7)
    np.testing.assert_allclose(shown_NC.sum(axis=1), 1.0)
    assert moved == (pytest.approx(shown_NC[0, 1], abs=1e-6), (), 0.05, 0.25)
    points = (OperatingPoint(0.2, 0.3, 1.0), OperatingPoint(0.6, 0.1, 0.8))
    moved = tuple(point.at_prevalence(0.25, 0.05) for point in points)
    assert DecisionRule(0.2, points, 0.25).at_prevalence(0.05).operating_points == moved


def test_what_does_not_know_its_prevalence_or_has_several_classes_says_so():
    for move in (lambda rule: rule.at_prevalence(0.05), lambda rule: rule.choose(None, "auto", np.zeros(1))):
        with pytest.raises(ConfigError) as raised:
            move(DecisionRule(0.5))
        assert str(raised.value) == (
            "prevalence: the model does not record the prevalence it was calibrated at; train it again"
        )
        with pytest.raises(ConfigError, match="prevalence: the model has several classes; it is for models of two"):
            move(DecisionRule(None))


@pytest.mark.parametrize("rule", [0.5, "max-mcc", "recall=0.9", "fdr=0.1"])
def test_a_model_of_several_classes_has_no_threshold(rule):
    with pytest.raises(ConfigError, match=f"threshold {rule}: a model of several classes predicts the likeliest"):
        DecisionRule(None).choose(rule, probability_N=np.zeros(0))


def test_a_model_of_several_classes_predicts_the_likeliest():
    assert DecisionRule(None).predict(np.array([[0.2, 0.3, 0.5], [0.4, 0.35, 0.25]])).tolist() == [2, 0]


def test_a_rule_that_depends_on_the_input_needs_its_probabilities():
    assert depends_on_input("fdr=0.1", 0.1)
    assert depends_on_input(None, "auto")
    assert not depends_on_input("recall=0.9", 0.1)
    with pytest.raises(ConfigError, match="threshold fdr=0.1: this rule needs the probabilities of the input"):
        DecisionRule(0.5).choose("fdr=0.1")


def test_at_the_own_prevalence_nothing_changes():
    own = DecisionRule(0.44, (OperatingPoint(0.3, 0.2, 0.9), OperatingPoint(0.5, 0.05, 0.7)), 0.3)
    assert own.at_prevalence(0.3) == own._replace(calibrated_at=0.3)
    assert own.at_prevalence(0.3).choose("recall=0.8").threshold == 0.3


def test_probabilities_have_at_most_fifteen_decimals_or_are_shown_in_full():
    p_NC = np.array([[29 / 30, 1 / 30]])
    assert DecisionRule(3e-11).shown(p_NC)[0, 1] == 0.033333333333333
    assert DecisionRule(3e-12).shown(p_NC)[0, 1] == 1 / 30


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
def test_with_a_lower_prevalence_no_more_proteins_are_predicted(seed):
    p_N, _, own = fitted(seed)
    thresholds = [own.at_prevalence(share).threshold for share in SHARES]
    moved = [
        at_prevalence(p_N, KNOWN, share).round(decimals_for(t)) for share, t in zip(SHARES, thresholds, strict=True)
    ]
    predicted = [int((p >= t).sum()) for p, t in zip(moved, thresholds, strict=True)]
    assert predicted == sorted(predicted)
    assert all(len(str(threshold)) <= 2 + decimals_for(threshold) for threshold in thresholds if threshold >= 1e-4)


@settings(deadline=None, max_examples=200)
@given(st.integers(0, 10**6), st.floats(0.001, 0.999), st.floats(0.001, 0.999))
def test_of_any_two_prevalences_the_lower_one_has_the_stricter_threshold(seed, one, other):
    low, high = sorted((one, other))
    assume(low < high)
    _, _, own = fitted(seed, n=60)
    # Of the probabilities as calibrated: what decides which proteins are predicted.
    kept = [at_prevalence(np.array([own.at_prevalence(share).threshold]), share, KNOWN)[0] for share in (low, high)]
    assert kept[0] >= kept[1] - 1e-3


@pytest.mark.parametrize("share", [0.01, 0.05, 0.1, 0.2, 0.29, 0.32, 0.4, 0.7, 0.95])
def test_at_any_prevalence_the_threshold_has_the_greatest_matthews_correlation(share):
    rng = np.random.default_rng(5)
    positive_N = rng.random(40_000) < KNOWN
    p_N = np.round(expit(np.log(KNOWN / (1 - KNOWN)) + 3.0 * (rng.normal(size=40_000) + 3.0 * positive_N) - 4.5), 6)
    own = DecisionRule(expected_mcc_threshold(p_N), operating_points(p_N), KNOWN)
    moved_N = at_prevalence(p_N, KNOWN, share)
    weight_N = np.where(positive_N, share / KNOWN, (1 - share) / (1 - KNOWN))

    def mcc(threshold):
        return matthews_corrcoef(positive_N, moved_N >= threshold, sample_weight=weight_N)

    best = max(mcc(threshold) for threshold in np.linspace(0.02, 0.98, 33))
    assert mcc(own.at_prevalence(share).threshold) > best - 0.003


@pytest.mark.parametrize(("share", "best"), [(0.9, 0), (0.4, 0), (0.29, 0), (0.25, 0), (0.2, 1), (0.1, 1), (0.01, 1)])
def test_the_operating_point_is_the_one_with_the_greatest_matthews_correlation_at_the_prevalence(share, best):
    points = (OperatingPoint(0.4, 0.3, 0.9), OperatingPoint(0.42, 0.1, 0.6))

    def mcc(point):
        false = point.recall * point.fdr / (1 - point.fdr) * KNOWN / (1 - KNOWN)
        rates = [share * point.recall, share * (1 - point.recall), (1 - share) * false, (1 - share) * (1 - false)]
        return matthews_corrcoef([1, 1, 0, 0], [1, 0, 1, 0], sample_weight=rates)

    assert max(points, key=mcc) == points[best]
    moved = points[best].at_prevalence(KNOWN, share).threshold
    assert DecisionRule(0.4, points, KNOWN).at_prevalence(share).threshold == pytest.approx(moved, abs=1e-6)


def test_of_equally_good_operating_points_the_lowest_is_taken():
    points = (OperatingPoint(0.2, 0.1, 0.8), OperatingPoint(0.6, 0.1, 0.8), OperatingPoint(0.7, 0.1, 0.5))
    moved = DecisionRule(0.2, points, 0.3).at_prevalence(0.25)
    assert moved.threshold == pytest.approx(at_prevalence(np.array([0.2]), 0.3, 0.25)[0], abs=1e-6)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0, 1))
def test_the_lowest_threshold_whose_expected_false_discovery_rate_is_small_enough(probabilities, rate):
    p_N = np.round(np.array(probabilities), 6)
    chosen, _, prevalence, _ = DecisionRule(0.5).choose(f"fdr={rate}", probability_N=p_N)
    fitting = [p for p in p_N if expected_fdr(p_N, p) <= rate * (1 + 1e-12)]
    assert prevalence is None
    assert chosen == (min(fitting) if fitting else 1.0)
    assert fitting or not (p_N >= chosen).any()


def test_the_rate_holds_where_positives_are_rare():
    # Calibrated where 30 % are positive; 5 % are here.
    rng = np.random.default_rng(6)
    positive_N = rng.random(100_000) < 0.05
    p_N = expit(np.log(0.3 / 0.7) + 2.5 * (rng.normal(size=100_000) + 2.5 * positive_N) - 2.5**2 / 2)
    own = DecisionRule(0.5, (), 0.3)
    for rate in (0.01, 0.05, 0.2):
        decision = own.choose(f"fdr={rate}", probability_N=p_N)
        predicted_N = at_prevalence(p_N, 0.3, decision.prevalence) >= decision.threshold
        assert 1 - positive_N[predicted_N].mean() == pytest.approx(rate, abs=0.015)
        assert decision.prevalence == pytest.approx(estimate_prevalence(p_N, 0.3), abs=1e-6)
        # As they are, the probabilities promise too much.
        assert 1 - positive_N[p_N >= own.choose(f"fdr={rate}", 0.3, p_N).threshold].mean() > 1.5 * rate


def test_a_prevalence_that_is_stated_is_not_estimated():
    p_N, _, own = fitted(0)
    rare = own.at_prevalence(0.01)
    assert own.choose("fdr=0.1", 0.01, p_N).moved_to == 0.01
    assert own.choose(None, 0.01, p_N) == rare
    assert own.choose("recall=0.9", 0.01, p_N) == rare.choose("recall=0.9")
    assert own.choose(0.7, 0.01, p_N) == rare._replace(threshold=0.7)


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


def test_rates_of_a_model_are_between_0_and_1():
    read = TypeAdapter(OperatingPoints).validate_python
    assert read([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]) == (OperatingPoint(0.0, 1.0, 0.0), OperatingPoint(1.0, 0.0, 1.0))
    for wrong in ([-0.01, 0.5, 0.5], [0.5, 1.01, 0.5], [0.5, 0.5, float("nan")]):
        with pytest.raises(ValidationError):
            read([wrong])


def test_a_recall_that_validation_did_not_reach_is_refused():
    with pytest.raises(ConfigError) as caught:
        DecisionRule(0.6, (OperatingPoint(0.6, 0.1, 0.8),), 0.3).choose("recall=0.9")
    assert str(caught.value) == "threshold recall=0.9: the model reaches at most recall=0.8 on validation"


@pytest.mark.parametrize("threshold", [0.5, 0.123457, 0.00200001, 3e-9, 1e-13])
@pytest.mark.parametrize("prevalence", [None, 0.02])
def test_predict_and_evaluate_agree_at_the_threshold(threshold, prevalence, small_bundle, monkeypatch):
    """Probabilities within half of the last decimal shown, on both sides of the threshold."""
    unit = 10.0 ** -decimals_for(threshold)
    share_N = np.array([-3, -0.51, -0.49, -0.1, -1e-6, 0, 1e-6, 0.1, 0.49, 0.51, 3])
    shown_at = threshold + share_N * unit
    p_N = shown_at if prevalence is None else at_prevalence(shown_at, prevalence, KNOWN)
    p_NC = np.stack([1 - p_N, p_N], axis=1)
    calibration = replace(small_bundle.calibration, prevalence=KNOWN)
    predictor = Predictor(replace(small_bundle, calibration=calibration), threshold=threshold, prevalence=prevalence)
    monkeypatch.setattr(predictor.scorer, "score", lambda tokens, _: ScoredByBundle(p_NC[: len(tokens)], {}))
    monkeypatch.setattr(predictor.scorer, "cells", lambda *given, **named: {})
    residues = predictor.bundle.alphabet.letters
    rows = list(predictor.predict(Record(str(i), "", residues[i]) for i in range(len(p_N))))
    rule = DecisionRule(0.5, (), KNOWN).choose(threshold, prevalence)
    by_hand = [float(row.probability) >= threshold for row in rows]
    assert [row.label == "TF" for row in rows] == [predictor.is_positive(row) for row in rows] == by_hand
    assert not by_hand[0]
    assert by_hand[-1]
    assert rule.predict(rule.shown(p_NC)).tolist() == by_hand
    if prevalence is None:
        assert Scored(p_NC, np.zeros(len(p_N), int), threshold).predicted_N.tolist() == by_hand
        shown_in_full = round(threshold, decimals_for(threshold)) == threshold
        assert not shown_in_full or by_hand[5:] == [True] * 6
