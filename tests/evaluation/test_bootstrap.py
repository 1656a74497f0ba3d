"""Intervals: what a seed decides, what homologues do to them, and whether they are right as often as they claim."""

import numpy as np
import pytest
from scipy.special import expit, ndtr
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import norm

from tests.evaluation.test_metrics import simulated
from tfclass.config import EvaluationConfig
from tfclass.evaluation.bootstrap import Estimate, Resampled, resample
from tfclass.evaluation.metrics import all_metrics, resampled_metrics
from tfclass.evaluation.scored import Scored


def config(n_resamples, seed, confidence=0.95):
    return EvaluationConfig.default(n_bootstrap=n_resamples, confidence=confidence, n_calibration_bins=10, seed=seed)


def bootstrap(scored, clusters, seed=0, n_resamples=200, confidence=0.95):
    return resampled_metrics(scored, np.asarray(clusters), config(n_resamples, seed, confidence)).estimates()


@pytest.mark.parametrize("n_classes", [2, 5])
def test_estimates_are_the_plain_metrics_and_lie_in_their_intervals(n_classes):
    scored = simulated(n_classes, seed=1)
    estimates = bootstrap(scored, np.arange(400).astype(str))
    plain = all_metrics(scored, 10)
    assert estimates.keys() == plain.keys()
    for name, estimate in estimates.items():
        assert estimate.value == pytest.approx(plain[name], rel=1e-12)
        assert estimate.low < estimate.value < estimate.high, name


@pytest.mark.parametrize("n_classes", [2, 5])
def test_every_resample_is_scored_like_a_table_of_the_clusters_that_were_drawn(n_classes):
    scored = simulated(n_classes, seed=2, n=120)
    clusters_N = np.repeat(np.arange(30), 4)
    weights = []

    def remember(weights_NR):
        weights.append(weights_NR)
        return {"sum": weights_NR.sum(axis=0)}

    resample(remember, clusters_N.astype(str), config(100, seed=8))
    resampled = resampled_metrics(scored, clusters_N.astype(str), config(100, seed=8))
    weights_NR = np.concatenate(weights[1:], axis=1)
    assert weights_NR.shape == (120, 100)
    for r, weights_N in enumerate(weights_NR.T[:10]):
        times_N = weights_N.astype(int)
        assert times_N[::4].sum() == 30
        assert (times_N.reshape(30, 4) == times_N[::4, None]).all()
        table = Scored(
            np.repeat(scored.probability_NC, times_N, axis=0), np.repeat(scored.labels_N, times_N), scored.threshold
        )
        for name, value in all_metrics(table, 10).items():
            assert resampled.draws[name][r] == pytest.approx(value, rel=1e-12), name


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_the_interval_of_a_mean_is_about_scipys(confidence):
    rng = np.random.default_rng(0)
    wrong_N = (rng.random(300) < 0.2).astype(float)
    theirs = scipy_bootstrap((wrong_N,), np.mean, n_resamples=4000, confidence_level=confidence, method="BCa", rng=rng)
    resampled = resample(
        lambda weights_NR: {"mean": wrong_N @ weights_NR / weights_NR.sum(axis=0)},
        np.arange(300).astype(str),
        config(4000, 0, confidence),
    )
    ours = resampled.estimates()["mean"]
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.005)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.005)


@pytest.mark.parametrize("at", [0.2, 0.5, 0.9])
def test_the_interval_is_corrected_for_where_the_value_stands_among_its_resamples(at):
    draws_R = np.random.default_rng(0).gamma(2.0, size=20_000)
    value = float(np.quantile(draws_R, at))
    found = Resampled({"metric": value}, {"metric": draws_R}, 0.9).estimates()["metric"]
    # Efron's formula: z0 is the normal quantile of the share of resamples below the value.
    ends = ndtr(2 * norm.ppf(at) + norm.ppf([0.05, 0.95]))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(draws_R, ends)), rel=1e-2)
    # As any percentile, it goes along with what is done to the metric.
    log = Resampled({"metric": np.log(value)}, {"metric": np.log(draws_R)}, 0.9).estimates()["metric"]
    assert (np.exp(log.low), np.exp(log.high)) == pytest.approx((found.low, found.high), rel=1e-2)


def test_a_resample_that_equals_the_value_counts_for_half():
    draws_R = np.repeat([0.0, 1.0, 2.0], [25, 50, 25])
    found = Resampled({"metric": 1.0}, {"metric": draws_R}, 0.9).estimates()["metric"]
    assert (found.low, found.high) == (0.0, 2.0)


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


def test_a_single_cluster_gives_no_interval_rather_than_certainty():
    scored = simulated(2, seed=1)
    for name, estimate in bootstrap(scored, np.full(400, "one")).items():
        assert np.isfinite(estimate.value), name
        assert (estimate.low, estimate.high) == (None, None), name
        assert estimate.reason.startswith("no interval: there is one cluster only"), name


def paired(scored, seed=0):
    clusters_N = (np.arange(400) // 4).astype(str)
    return resampled_metrics(scored, clusters_N, config(300, seed))


def test_a_model_does_not_differ_from_itself():
    difference = paired(simulated(2, seed=1)).minus(paired(simulated(2, seed=1)))
    assert set(difference.values()) == {Estimate(0.0, 0.0, 0.0)}


def test_a_difference_on_the_same_proteins_is_surer_than_the_two_intervals_suggest():
    good = simulated(2, seed=1)
    noise_N = np.random.default_rng(0).normal(scale=0.1, size=400)
    p_N = np.clip(good.probability_NC[:, 1] + noise_N, 0, 1)
    worse = Scored(np.stack([1 - p_N, p_N], axis=1), good.labels_N, 0.4)
    ours, theirs = paired(good), paired(worse)
    for name in ("average_precision", "auroc", "brier"):
        difference, own = ours.minus(theirs)[name], ours.estimates()[name]
        assert difference.value == pytest.approx(ours.values[name] - theirs.values[name])
        assert difference.high - difference.low < 0.6 * (own.high - own.low), name
    assert ours.minus(theirs)["auroc"].low > 0


def test_what_one_of_the_two_lacks_has_no_difference():
    scored = simulated(2, seed=1)
    bits = Scored(scored.probability_NC * 100, scored.labels_N, 40.0, are_probabilities=False)
    difference = paired(scored).minus(paired(bits))
    assert difference["brier"] == Estimate(None, None, None, "the scores are no probabilities")
    assert difference["auroc"] == Estimate(0.0, 0.0, 0.0)


PREVALENCE, SHIFT, KINSHIP, THRESHOLD = 0.3, 2.0, 0.8, 0.6


def with_homology(seed: int, n_clusters: int) -> tuple[Scored, np.ndarray]:
    """Clusters of one to eight proteins of one class, whose scores have most of their variance in common."""
    rng = np.random.default_rng(seed)
    positive_K = rng.random(n_clusters) < PREVALENCE
    cluster_N = np.repeat(np.arange(n_clusters), rng.integers(1, 9, n_clusters))
    own_N = np.sqrt(1 - KINSHIP) * rng.normal(size=len(cluster_N))
    score_N = SHIFT * positive_K[cluster_N] + np.sqrt(KINSHIP) * rng.normal(size=n_clusters)[cluster_N] + own_N
    # The true probability, given the score of two normal distributions of variance 1.
    p_N = expit(np.log(PREVALENCE / (1 - PREVALENCE)) + SHIFT * score_N - SHIFT**2 / 2)
    return Scored(np.stack([1 - p_N, p_N], axis=1), positive_K[cluster_N].astype(int), THRESHOLD), cluster_N.astype(str)


def test_nominal_95_percent_intervals_cover_the_truth_and_those_that_ignore_kinship_do_not():
    # The truth: by formula, and for the other metrics from many clusters.
    population = all_metrics(with_homology(seed=99, n_clusters=200_000)[0], 10)
    threshold = (np.log(THRESHOLD / (1 - THRESHOLD)) - np.log(PREVALENCE / (1 - PREVALENCE)) + SHIFT**2 / 2) / SHIFT
    truth = {"auroc": ndtr(SHIFT / np.sqrt(2)), "recall": ndtr(SHIFT - threshold)}
    assert population["auroc"] == pytest.approx(truth["auroc"], abs=0.002)
    assert population["recall"] == pytest.approx(truth["recall"], abs=0.003)
    truth |= {name: population[name] for name in ("average_precision", "mcc", "brier", "log_loss")}
    repetitions, naive_ones = 200, 50
    covered, naive = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for repetition in range(repetitions):
        scored, clusters_N = with_homology(repetition, n_clusters=150)
        alone_N = np.arange(len(clusters_N)).astype(str)
        for counts, units_N in ((covered, clusters_N), (naive, alone_N))[: 2 if repetition < naive_ones else 1]:
            estimates = bootstrap(scored, units_N, seed=repetition, n_resamples=200)
            for name, value in truth.items():
                counts[name] += estimates[name].low <= value <= estimates[name].high
    for name in truth:
        assert 0.89 <= covered[name] / repetitions <= 0.985, name
        assert naive[name] / naive_ones <= 0.8, name
    assert 0.92 <= np.mean(list(covered.values())) / repetitions <= 0.97
