"""Temperature and threshold: recovered from simulations, equal to brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss, matthews_corrcoef, precision_recall_curve, precision_score, recall_score

from tfclass.bundle.calibration import Calibration
from tfclass.evaluation.calibration import fit_temperature, max_mcc_threshold, operating_points

# scikit-learn's own remark on inputs with one label, which are meant here.
pytestmark = pytest.mark.filterwarnings("ignore:A single label was found")


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
    fitted = fit_temperature(logits_NC, labels_N, np.ones(n_classes))
    assert fitted.temperature == pytest.approx(temperature, rel=0.04)
    assert fitted.log_weight_C == (0.0,) * n_classes


@pytest.mark.parametrize("seed", range(3))
def test_no_temperature_on_a_fine_grid_has_less_log_loss(seed):
    logits_NC, labels_N = simulated(3.0, n=300, seed=seed)
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 4001))
    losses = [-log_softmax(logits_NC / t, axis=1)[np.arange(300), labels_N].mean() for t in grid]
    fitted = fit_temperature(logits_NC, labels_N, np.ones(2))
    assert fitted.temperature == pytest.approx(grid[np.argmin(losses)], rel=0.002)
    assert log_loss(labels_N, fitted.probability(logits_NC)) <= min(losses) + 1e-12


def test_scores_without_an_error_end_at_a_temperature_above_zero():
    logits_NC = np.array([[3.0, -3.0], [-3.0, 3.0]] * 10)
    fitted = fit_temperature(logits_NC, np.array([0, 1] * 10), np.ones(2))
    assert 0.05 <= fitted.temperature < 0.5
    assert np.isfinite(fitted.probability(logits_NC)).all()


def test_class_weights_in_training_are_undone():
    logits_NC, labels_N = simulated(2.0, n=2000, n_classes=3)
    weight_C = np.array([0.5, 1.0, 8.0])
    plain = fit_temperature(logits_NC, labels_N, np.ones(3))
    shifted_NC = logits_NC + np.log(weight_C)
    weighted = fit_temperature(shifted_NC, labels_N, weight_C)
    assert weighted.log_weight_C == pytest.approx(np.log(weight_C))
    np.testing.assert_allclose(weighted.probability(shifted_NC), plain.probability(logits_NC), rtol=1e-9)


def test_a_class_that_training_lacked_shifts_nothing():
    logits_NC, labels_N = simulated(1.0, n=200, n_classes=3)
    fitted = fit_temperature(logits_NC, np.minimum(labels_N, 1), np.array([1.0, 2.0, 0.0]))
    assert fitted.log_weight_C == pytest.approx((0.0, np.log(2), 0.0))


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


def best_by_brute_force(p_N, positive_N) -> float:
    """Greatest Matthews correlation over every set of calls that a cut can make."""
    return max(matthews_corrcoef(positive_N, p_N >= cut) for cut in [*p_N, np.inf])


def check_threshold(p_N, positive_N):
    threshold = max_mcc_threshold(p_N, positive_N)
    called = p_N >= threshold
    assert matthews_corrcoef(positive_N, called) == pytest.approx(best_by_brute_force(p_N, positive_N), abs=1e-9)
    # Strictly between neighbouring scores, so that no rounding error flips a call.
    assert threshold not in p_N
    return threshold, called


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=2, max_size=30))
def test_the_threshold_is_the_best_of_all_cuts_with_ties(rows):
    check_threshold(np.array([p / 12 for p, _ in rows]), np.array([positive for _, positive in rows]))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(1e-12, 1.0, exclude_max=True), st.booleans()),
        min_size=2,
        max_size=20,
        unique_by=lambda row: round(row[0], 11),
    )
)
def test_the_threshold_is_the_best_of_all_cuts_however_close_the_scores(rows):
    check_threshold(np.array([p for p, _ in rows]), np.array([positive for _, positive in rows]))


@pytest.mark.parametrize(
    ("low", "high"),
    [(0.99999910, 0.99999940), (1e-9, 3e-9), (1 - 2**-40, 1 - 2**-41), (0.1234565001, 0.1234565002)],
)
def test_rounding_never_carries_the_threshold_out_of_the_gap(low, high):
    threshold, called = check_threshold(np.array([low, high]), np.array([False, True]))
    assert low < threshold < high
    assert called.tolist() == [False, True]


def test_neighbouring_floating_point_numbers_are_still_told_apart():
    low = 0.7
    high = np.nextafter(low, 1)
    threshold = max_mcc_threshold(np.array([low, high]), np.array([False, True]))
    assert low < threshold <= high


def test_a_wide_gap_gives_a_number_that_can_be_read():
    assert max_mcc_threshold(np.array([0.1, 1 / 3, 2 / 3 + 1e-9]), np.array([False, False, True])) == 0.5


def test_the_lowest_of_equally_good_cuts_is_taken():
    # Calling the best one or the best three of these gives the same correlation.
    p_N, positive_N = np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False])
    cuts = {cut: matthews_corrcoef(positive_N, p_N >= cut) for cut in (0.85, 0.65)}
    assert cuts[0.85] == pytest.approx(cuts[0.65])
    assert max_mcc_threshold(p_N, positive_N) == 0.65


def test_scores_that_rank_backwards_call_everything_rather_than_do_harm():
    p_N, positive_N = np.array([0.9, 0.8, 0.3, 0.2]), np.array([False, False, True, True])
    assert max_mcc_threshold(p_N, positive_N) < 0.2


@pytest.mark.parametrize("p_N", [[0.0, 0.0], [0.3, 0.3], [0.0, 0.4]], ids=["all zero", "all equal", "one zero"])
@pytest.mark.parametrize("positive_N", [[True, True], [False, False], [True, False]])
def test_degenerate_scores_still_give_a_threshold_between_0_and_1(p_N, positive_N):
    threshold = max_mcc_threshold(np.array(p_N), np.array(positive_N))
    assert 0 <= threshold <= 1
    called = np.array(p_N) >= threshold
    best = best_by_brute_force(np.array(p_N), np.array(positive_N))
    assert matthews_corrcoef(positive_N, called) == pytest.approx(best)


@given(st.integers(2, 200), st.integers(0, 10**6))
def test_operating_points_are_scikit_learns_and_none_of_them_is_dominated(n, seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.4
    positive[0] = True
    probability = np.round(rng.random(n), 2)
    points = operating_points(probability, positive)
    for point in points:
        called = probability >= point.threshold
        assert point.recall == pytest.approx(recall_score(positive, called))
        assert 1 - point.fdr == pytest.approx(precision_score(positive, called, zero_division=1.0))
    precision, recall, _ = precision_recall_curve(positive, probability)
    reached = recall > 0
    assert points[0].recall == 1.0
    assert points[-1].fdr == pytest.approx(1 - precision[reached].max())
    pairs = list(zip(points, points[1:], strict=False))
    assert all(a.threshold < b.threshold and a.fdr > b.fdr and a.recall >= b.recall for a, b in pairs)


def test_without_positives_there_are_no_operating_points():
    assert operating_points(np.array([0.2, 0.4]), np.array([False, False])) == ()
