"""The threshold and the operating points, equal to brute force and to scikit-learn."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import matthews_corrcoef, precision_score, recall_score

from tfclass.channels.calibration import at_prevalence
from tfclass.channels.threshold_fit import expected_mcc_threshold, max_mcc_threshold, operating_points
from tfclass.channels.thresholds import DecisionRule

# scikit-learn's own remark on inputs with one label, which are meant here.
pytestmark = pytest.mark.filterwarnings("ignore:A single label was found")


def best_by_brute_force(p_N, positive_N) -> float:
    """Greatest Matthews correlation over every set of calls that a cut can make."""
    return max(matthews_corrcoef(positive_N, p_N >= cut) for cut in [*p_N, np.inf])


def expected_mcc(p_N, called_N):
    """Matthews correlation of the expected confusion matrix."""
    # Each protein twice: as a positive with its probability for a weight, and as a negative with the rest.
    labels, weights = np.repeat([True, False], len(p_N)), np.concatenate([p_N, 1 - p_N])
    return matthews_corrcoef(labels, np.tile(called_N, 2), sample_weight=weights)


def check_threshold(p_N, positive_N):
    threshold = max_mcc_threshold(p_N, positive_N)
    called = p_N >= threshold
    assert matthews_corrcoef(positive_N, called) == pytest.approx(best_by_brute_force(p_N, positive_N), abs=1e-9)
    # Strictly between neighbouring scores, so that no rounding error flips a call.
    assert threshold not in p_N
    return threshold, called


@settings(max_examples=75, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.booleans()), min_size=2, max_size=30))
def test_the_threshold_is_the_best_of_all_cuts_with_ties(rows):
    check_threshold(np.array([p / 12 for p, _ in rows]), np.array([positive for _, positive in rows]))


@settings(max_examples=60, deadline=None)
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
    # Predicting the best one or the best three of these gives the same correlation.
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


@settings(max_examples=75, deadline=None)
@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=30), st.integers(1, 4))
def test_the_expected_confusion_matrix_of_the_threshold_is_the_best_of_all_cuts(probabilities, digits):
    p_N = np.round(probabilities, digits)
    best = max(expected_mcc(p_N, p_N >= cut) for cut in [*p_N, np.inf])
    assert expected_mcc(p_N, p_N >= expected_mcc_threshold(p_N)) == pytest.approx(best, abs=1e-9)


def test_the_expected_threshold_varies_less_between_samples_and_its_correlation_is_at_least_as_great():
    rng = np.random.default_rng(0)
    # Calibrated by construction: the label is drawn with the probability.
    p_N = rng.beta(0.1, 0.3, 100_000)
    positive_N = rng.random(len(p_N)) < p_N
    samples = [rng.choice(len(p_N), 1000, replace=False) for _ in range(60)]
    by_labels = [max_mcc_threshold(p_N[rows], positive_N[rows]) for rows in samples]
    expected = [expected_mcc_threshold(p_N[rows]) for rows in samples]
    assert np.std(expected) < 0.5 * np.std(by_labels)
    reached = [np.mean([matthews_corrcoef(positive_N, p_N >= cut) for cut in cuts]) for cuts in (expected, by_labels)]
    assert reached[0] > reached[1]


@settings(deadline=None)
@given(st.integers(2, 200), st.integers(0, 10**6))
def test_operating_points_are_scikit_learns_of_the_expected_confusion_matrix(n, seed):
    rng = np.random.default_rng(seed)
    p_N = np.round(rng.beta(0.3, 0.7, n).clip(0.001, 0.999), 3)
    labels, weights = np.repeat([True, False], n), np.concatenate([p_N, 1 - p_N])
    points = operating_points(p_N)
    for point in points:
        called = np.tile(p_N >= point.threshold, 2)
        assert point.recall == pytest.approx(recall_score(labels, called, sample_weight=weights))
        assert 1 - point.fdr == pytest.approx(precision_score(labels, called, sample_weight=weights))
    for point in points[1:]:
        assert point.mcc(p_N.mean()) == pytest.approx(expected_mcc(p_N, p_N >= point.threshold), abs=1e-9)
    # All are predicted; a rounding error of the rates becomes its square root.
    assert (points[0].recall, points[0].mcc(p_N.mean())) == (1.0, pytest.approx(0.0, abs=1e-7))
    assert points[-1].fdr == pytest.approx(1 - p_N.max())
    for one, other in pairwise(points):
        assert one.threshold < other.threshold
        assert one.fdr > other.fdr
        assert one.recall > other.recall


@settings(deadline=None)
@given(st.integers(2, 400), st.integers(0, 10**6), st.integers(1, 4))
def test_the_threshold_is_among_the_operating_points_and_the_best_of_them(n, seed, digits):
    p_N = np.round(np.random.default_rng(seed).beta(0.3, 0.7, n), digits).clip(0.01, 0.99)
    points, own = operating_points(p_N), expected_mcc_threshold(p_N)
    assert own in {point.threshold for point in points}
    best = max(point.mcc(p_N.mean()) for point in points)
    # Where no cut tells anything, a rounding error of the rates becomes its square root.
    assert expected_mcc(p_N, p_N >= own) == pytest.approx(best, abs=1e-7)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_at_another_prevalence_the_threshold_has_nearly_the_greatest_expected_correlation(seed, share):
    p_N = np.random.default_rng(seed).beta(0.1, 0.3, 2000)
    known = float(p_N.mean())
    labels = np.repeat([True, False], len(p_N))
    weights = np.concatenate([p_N * share / known, (1 - p_N) * (1 - share) / (1 - known)])

    def mcc(cut):
        return matthews_corrcoef(labels, np.tile(p_N >= cut, 2), sample_weight=weights)

    rule = DecisionRule(expected_mcc_threshold(p_N), operating_points(p_N), known).at_prevalence(share)
    as_calibrated = at_prevalence(np.array([rule.threshold]), share, known)[0]
    # As near as the operating points lie together.
    assert mcc(as_calibrated) > max(mcc(cut) for cut in p_N[::5]) - 2e-4


def test_the_threshold_of_another_prevalence_varies_little_between_samples():
    rng = np.random.default_rng(0)
    p_N = rng.beta(0.1, 0.3, 100_000)
    samples = [rng.choice(p_N, 1000, replace=False) for _ in range(60)]
    rules = [DecisionRule(expected_mcc_threshold(p), operating_points(p), float(p.mean())) for p in samples]
    # At 25 % and at 5 %, each in probabilities of that share.
    assert np.std([rule.threshold for rule in rules]) < 0.02
    assert np.std([rule.at_prevalence(0.05).threshold for rule in rules]) < 0.03


@pytest.mark.parametrize("seed", range(3))
def test_operating_points_are_left_out_where_they_say_little_and_only_there(seed):
    p_N = np.random.default_rng(seed).beta(0.3, 0.7, 3000)
    own = expected_mcc_threshold(p_N)
    everywhere = [
        (np.mean(1 - p_N[p_N >= cut]), p_N[p_N >= cut].sum() / p_N.sum(), cut in (p_N.max(), p_N[p_N >= own].min()))
        for cut in np.sort(p_N)
    ]
    points_P2 = np.array([(point.fdr, point.recall) for point in operating_points(p_N)])
    last, n_left_out = everywhere[0], 0
    for cut in everywhere:
        differs = cut[0] <= 0.95 * last[0] or cut[1] <= last[1] - 0.005
        if not np.isclose(points_P2, cut[:2], rtol=0, atol=1e-12).all(axis=1).any():
            assert not differs
            n_left_out += 1
            continue
        assert differs or cut[2] or cut is everywhere[0]
        last = cut
    assert n_left_out > len(everywhere) / 4


def test_without_a_possible_positive_there_are_no_operating_points():
    assert operating_points(np.zeros(2)) == ()
