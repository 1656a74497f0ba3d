"""From logits to probabilities, to other prevalences and to the false discoveries to expect."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax
from scipy.stats import norm

from tests.bundle.test_bundle import change
from tfclass.bundle.bundle import find_bundle, load_bundle
from tfclass.bundle.save import save_bundle
from tfclass.channels.calibration import Calibration, Knot, at_prevalence, estimate_prevalence
from tfclass.errors import BundleError, ConfigError

ISOTONIC = Calibration(
    1.0, (0.0, 0.5), "isotonic", knots=(Knot(-2.0, 0.1), Knot(0.0, 0.1), Knot(1.0, 0.9)), prevalence=0.3
)
PLATT = Calibration(1.6, (0.2, -0.1), "platt", bias=-0.7, prevalence=0.25)


def test_probabilities_are_the_softmax_of_the_formula():
    logits_NC = np.random.default_rng(0).normal(scale=30, size=(50, 4))
    shift_C = (0.1, -0.4, 1.2, 0.0)
    p_NC = Calibration(1.7, shift_C).probability(logits_NC)
    np.testing.assert_allclose(np.log(p_NC), log_softmax((logits_NC - np.array(shift_C)) / 1.7, axis=1), atol=1e-9)
    np.testing.assert_allclose(p_NC.sum(axis=1), 1.0, atol=1e-12)


def test_temperature_never_changes_the_ranking():
    logits_NC = np.random.default_rng(0).normal(size=(200, 2))
    orders = [np.argsort(Calibration(t, (0.0, 0.0)).probability(logits_NC)[:, 1]).tolist() for t in (0.5, 1.0, 4.0)]
    assert orders[0] == orders[1] == orders[2]


def test_platts_curve_is_the_logistic_of_the_formula():
    logits_NC = np.random.default_rng(0).normal(scale=5, size=(50, 2))
    before = logits_NC.copy()
    margin_N = (logits_NC[:, 1] + 0.1) - (logits_NC[:, 0] - 0.2)
    p_NC = PLATT.probability(logits_NC)
    np.testing.assert_allclose(p_NC[:, 1], expit(margin_N / 1.6 - 0.7), atol=1e-12)
    np.testing.assert_allclose(p_NC.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(logits_NC, before)


def test_an_isotonic_curve_goes_straight_from_knot_to_knot_and_on_beyond():
    margin_N = np.array([-50.0, -2.0, -1.0, 0.0, 0.25, 1.0, 50.0])
    p_NC = ISOTONIC.probability(np.stack([np.zeros(7), margin_N + 0.5], axis=1))
    np.testing.assert_allclose(p_NC[:, 1], [0.1, 0.1, 0.1, 0.1, 0.3, 0.9, 0.9], atol=1e-12)
    np.testing.assert_allclose(p_NC[:, 0], 1 - p_NC[:, 1], atol=1e-15)


@pytest.mark.parametrize("calibration", [ISOTONIC, PLATT, Calibration(1.0, (0.0, 0.0), "none")])
def test_a_bundle_gives_back_its_calibration(calibration, small_bundle, tmp_path):
    save_bundle(replace(small_bundle, calibration=calibration), tmp_path / "b", "card")
    loaded = load_bundle(tmp_path / "b")
    assert loaded.calibration == calibration
    logits_NC = np.random.default_rng(0).normal(size=(30, 2))
    np.testing.assert_array_equal(loaded.calibration.probability(logits_NC), calibration.probability(logits_NC))


def test_a_description_with_a_temperature_alone_is_still_read():
    calibration = TypeAdapter(Calibration).validate_python({"temperature": 1.8, "log_weight_C": [0.0, 0.0]})
    assert calibration == Calibration(1.8, (0.0, 0.0), "temperature")
    assert calibration.prevalence is None


def test_the_shipped_bundle_keeps_its_probabilities():
    calibration = load_bundle(find_bundle("tf-bilstm")).calibration
    logits_NC = np.random.default_rng(0).normal(scale=5, size=(50, 2))
    if calibration.method == "temperature":
        expected_NC = np.exp(log_softmax(logits_NC / calibration.temperature, axis=1))
        np.testing.assert_allclose(calibration.probability(logits_NC), expected_NC, rtol=1e-12)
    assert np.isfinite(calibration.probability(logits_NC)).all()


WRONG = {
    "an unknown method": ({"method": "beta"}, "'none', 'temperature', 'platt' or 'isotonic'"),
    "a temperature of zero": ({"temperature": 0.0}, "greater than 0"),
    "no knot": ({"method": "isotonic"}, "knots belong to isotonic calibration"),
    "knots without the method": ({"knots": [[0.0, 0.5]]}, "knots belong to isotonic calibration"),
    "a certain knot": ({"method": "isotonic", "knots": [[0.0, 1.0]]}, "less than 1"),
    "falling margins": ({"method": "isotonic", "knots": [[1.0, 0.1], [0.0, 0.2]]}, "knots must rise"),
    "falling probabilities": ({"method": "isotonic", "knots": [[0.0, 0.3], [1.0, 0.2]]}, "knots must rise"),
    "three classes": ({"method": "platt", "log_weight_C": [0.0, 0.0, 0.0]}, "platt calibration is for two classes"),
    "a prevalence of one": ({"prevalence": 1.0}, "less than 1"),
}


@pytest.mark.parametrize(("values", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_calibration_is_refused_with(values, message):
    whole = {"temperature": 1.0, "log_weight_C": [0.0, 0.0]} | values
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Calibration).validate_python(json.loads(json.dumps(whole)))


def test_a_bundle_with_an_impossible_calibration_is_refused_in_one_line(small_bundle, tmp_path):
    # Made behind the back of the checks, which would not let it be built.
    broken = replace(small_bundle, calibration=PLATT)
    object.__setattr__(broken.calibration, "knots", (Knot(0.0, 0.5),))
    with pytest.raises(BundleError, match="knots belong to isotonic calibration") as caught:
        save_bundle(broken, tmp_path / "b", "card")
    object.__setattr__(broken.calibration, "knots", ())
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    save_bundle(broken, tmp_path / "b", "card")
    change(tmp_path / "b", calibration={"temperature": 1.6, "log_weight_C": [0.2, -0.1], "knots": [[0.0, 0.5]]})
    with pytest.raises(BundleError, match="knots belong to isotonic calibration"):
        load_bundle(tmp_path / "b")


def test_a_calibration_says_in_words_what_it_is():
    assert ISOTONIC.in_words() == "isotonic curve of 3 knots"
    assert PLATT.in_words() == "Platt's scaling (temperature 1.600, bias -0.700)"
    assert Calibration(1.8, (0.0, 0.0)).in_words() == "temperature 1.800"
    assert Calibration(1.0, (0.0, 0.0), "none").in_words() == "none"


def test_a_calibration_is_plain_json():
    content = json.loads(json.dumps(asdict(ISOTONIC), allow_nan=False))
    assert content["knots"] == [[-2.0, 0.1], [0.0, 0.1], [1.0, 0.9]]
    assert TypeAdapter(Calibration).validate_python(content) == ISOTONIC


SHARES = st.floats(0.001, 0.999)


@settings(deadline=None)
@given(SHARES, SHARES, SHARES)
def test_there_and_back_again_is_the_same_probability(p, trained, prevalence):
    there_N = at_prevalence(np.array([p]), trained, prevalence)
    assert at_prevalence(there_N, prevalence, trained)[0] == pytest.approx(p, rel=1e-9)
    assert at_prevalence(np.array([p]), trained, trained)[0] == pytest.approx(p, rel=1e-12)


@pytest.mark.parametrize("prevalence", [0.01, 0.06, 0.5, 0.9])
def test_another_prevalence_gives_what_bayes_rule_gives_from_the_densities(prevalence):
    score_N = np.linspace(-6, 6, 200)
    positive_N, negative_N = norm.pdf(score_N, loc=1.5), norm.pdf(score_N, loc=-0.5)

    def posterior(share):
        return share * positive_N / (share * positive_N + (1 - share) * negative_N)

    np.testing.assert_allclose(at_prevalence(posterior(0.3), 0.3, prevalence), posterior(prevalence), rtol=1e-9)


def test_certainty_stays_and_the_ranking_too():
    assert at_prevalence(np.array([0.0, 1.0]), 0.3, 0.01).tolist() == [0.0, 1.0]
    p_N = np.sort(np.random.default_rng(0).random(100))
    assert (np.diff(at_prevalence(p_N, 0.3, 0.01)) > 0).all()


@pytest.mark.parametrize("prevalence", [0.0, 1.0, -0.1, 6.0, float("nan")])
def test_a_prevalence_that_is_no_share_is_refused(prevalence):
    for trained, wanted in ((0.3, prevalence), (prevalence, 0.3)):
        with pytest.raises(
            ConfigError, match="prevalence: found .*; expected a share between 0 and 1, such as 0.06 for 6 %"
        ):
            at_prevalence(np.array([0.5]), trained, wanted)


def expected_fdr(p_N, threshold: float) -> float:
    """Expected share of false discoveries: the mean of 1 - p over the predicted positives."""
    return float(np.mean(1 - p_N[p_N >= threshold]))


def drawn(prevalence: float, n: int, seed: int):
    """Calibrated probabilities at `prevalence`, and labels."""
    rng = np.random.default_rng(seed)
    positive_N = rng.random(n) < prevalence
    score_N = rng.normal(size=n) + 2.0 * positive_N
    return expit(np.log(prevalence / (1 - prevalence)) + 2.0 * score_N - 2.0), positive_N


@pytest.mark.parametrize("prevalence", [0.06, 0.3, 0.6])
@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_as_many_false_discoveries_are_expected_as_there_are(prevalence, threshold):
    p_N, positive_N = drawn(prevalence, 400_000, seed=0)
    called_N = p_N >= threshold
    happened = 1 - positive_N[called_N].mean()
    error = np.sqrt(happened * (1 - happened) / called_N.sum())
    assert expected_fdr(p_N, threshold) == pytest.approx(happened, abs=4 * error)


def test_in_a_rarer_class_the_uncorrected_probabilities_expect_too_few_false_discoveries():
    # Trained where 30 % are positive, used where 6 % are.
    rng = np.random.default_rng(1)
    positive_N = rng.random(400_000) < 0.06
    score_N = rng.normal(size=400_000) + 2.0 * positive_N
    stated_N = expit(np.log(0.3 / 0.7) + 2.0 * score_N - 2.0)
    corrected_N = at_prevalence(stated_N, 0.3, 0.06)
    happened = 1 - positive_N[corrected_N >= 0.5].mean()
    assert expected_fdr(corrected_N, 0.5) == pytest.approx(happened, abs=0.01)
    same_calls_N = stated_N[corrected_N >= 0.5]
    assert expected_fdr(same_calls_N, 0.0) < happened / 2


@pytest.mark.parametrize("share", [0.02, 0.06, 0.3, 0.7])
def test_the_share_of_positives_is_estimated_where_it_differs_from_the_calibration(share):
    rng = np.random.default_rng(4)
    positive_N = rng.random(200_000) < share
    score_N = rng.normal(size=200_000) + 2.0 * positive_N
    p_N = expit(np.log(0.3 / 0.7) + 2.0 * score_N - 2.0)
    assert estimate_prevalence(p_N, 0.3) == pytest.approx(positive_N.mean(), rel=0.05)


@given(st.lists(st.floats(1e-6, 1 - 1e-6), max_size=40), st.floats(0.05, 0.95))
@settings(deadline=None)
def test_the_estimate_has_the_greatest_posterior_density(probabilities, trained):
    p_N = np.array(probabilities)

    def negative_log_posterior(share):
        likelihood_N = share * p_N / trained + (1 - share) * (1 - p_N) / (1 - trained)
        return -np.log(likelihood_N).sum() - 10 * (trained * np.log(share) + (1 - trained) * np.log(1 - share))

    best = minimize_scalar(negative_log_posterior, bounds=(1e-9, 1 - 1e-9), method="bounded", options={"xatol": 1e-9})
    assert estimate_prevalence(p_N, trained) == pytest.approx(best.x, abs=1e-4)


def test_a_single_protein_hardly_moves_the_estimate():
    assert 0.3 < estimate_prevalence(np.array([0.999999]), 0.3) < 0.37
    assert estimate_prevalence(np.array([]), 0.3) == pytest.approx(0.3)
