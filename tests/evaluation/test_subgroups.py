"""Slices: every protein in the right one, each scored as if it were alone, and small ones marked."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.test_metrics import simulated
from tfclass.config import EvaluationConfig, from_mapping
from tfclass.errors import ConfigError
from tfclass.evaluation.metrics import Scored, all_metrics, cluster_bootstrap
from tfclass.evaluation.subgroups import Slicing, by_column, by_identity, by_length, evaluate_slices

CONFIG = EvaluationConfig(n_bootstrap=50)


def named(slicing: Slicing) -> list[str]:
    return [slicing.labels[code] for code in slicing.codes_N]


def test_lengths_fall_between_the_edges():
    slicing = by_length(np.array([1, 200, 201, 400, 401, 35_000]), (200, 400))
    assert slicing.labels == ("up to 200", "201 to 400", "above 400")
    assert named(slicing) == [*["up to 200"] * 2, *["201 to 400"] * 2, *["above 400"] * 2]


def test_a_single_edge_makes_two_slices():
    assert by_length(np.array([5]), (200,)).labels == ("up to 200", "above 200")


def test_identities_fall_between_the_edges_and_nan_is_none_found():
    slicing = by_identity(np.array([np.nan, 0.0, 0.2999, 0.3, 0.5, 0.69, 0.7, 1.0]), (0.3, 0.5, 0.7))
    assert slicing.labels == ("none found", "below 30 %", "30 to 50 %", "50 to 70 %", "70 % and above")
    assert slicing.codes_N.tolist() == [0, 1, 1, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("identity", [35.0, -0.1])
def test_identities_in_percent_are_refused(identity):
    with pytest.raises(ValueError, match="an identity is not between 0 and 1"):
        by_identity(np.array([0.5, np.nan, identity]), (0.3,))


def test_values_of_a_column_come_commonest_first_and_unknown_ones_last():
    slicing = by_column("kingdom", np.array(["", "Fungi", "Metazoa", "", "", "Metazoa"]))
    assert slicing.title == "kingdom"
    assert slicing.labels == ("Metazoa", "Fungi", "not stated")
    assert named(slicing) == ["not stated", "Fungi", "Metazoa", "not stated", "not stated", "Metazoa"]


def test_rare_values_of_a_column_are_taken_together():
    values_N = np.repeat([f"family {i}" for i in range(12)], np.arange(12, 0, -1))
    slicing = by_column("family", values_N)
    assert slicing.labels == (*(f"family {i}" for i in range(8)), "other")
    assert (slicing.codes_N == 8).sum() == 4 + 3 + 2 + 1


@settings(deadline=None)
@given(st.lists(st.sampled_from(["", "a", "b", "c", *"defghijkl"]), min_size=1, max_size=60))
def test_every_protein_is_in_a_slice_of_its_column(values):
    slicing = by_column("column", np.array(values))
    for value, label in zip(values, named(slicing), strict=True):
        assert label == (value or "not stated") or (label == "other" and len(slicing.labels) >= 9)
    assert set(slicing.codes_N.tolist()) == set(range(len(slicing.labels)))


@pytest.mark.parametrize("n_classes", [2, 5])
def test_a_slice_is_scored_as_if_it_were_alone(n_classes):
    scored, clusters_N = simulated(n_classes, seed=1), (np.arange(400) // 2).astype(str)
    slicing = Slicing("thirds", ("a", "b", "c"), np.arange(400) // 2 % 3)
    slices = evaluate_slices(scored, clusters_N, slicing, CONFIG)
    assert [part.label for part in slices] == ["a", "b", "c"]
    for code, part in enumerate(slices):
        rows_N = slicing.codes_N == code
        alone = Scored(scored.probability_NC[rows_N], scored.labels_N[rows_N], scored.threshold)
        expected = cluster_bootstrap(alone, clusters_N[rows_N], n_bins=15, n_resamples=50, confidence=0.95, seed=0)
        assert part.resampled.estimates(0.95) == expected
        assert part.resampled.values == all_metrics(alone, 15)
        assert part.n == rows_N.sum() == sum(part.class_counts)
        assert part.n_clusters == len(set(clusters_N[rows_N]))
        assert part.prevalence == (np.mean(alone.labels_N == 1) if n_classes == 2 else None)
        assert (part.small, part.undefined) == ("", {})


def test_the_seed_and_the_number_of_resamples_are_those_of_the_configuration():
    scored, clusters_N = simulated(2, seed=1), np.arange(400).astype(str)
    slicing = Slicing("all", ("all",), np.zeros(400, dtype=int))
    draws = {}
    for seed, n in ((0, 50), (1, 50), (0, 60)):
        (part,) = evaluate_slices(scored, clusters_N, slicing, replace(CONFIG, seed=seed, n_bootstrap=n))
        draws[seed, n] = part.resampled.draws["mcc"]
    assert [len(each) for each in draws.values()] == [50, 50, 60]
    assert (draws[0, 50] != draws[1, 50]).any()
    assert (draws[0, 50] == draws[0, 60][:50]).all()


def test_a_protein_may_be_in_no_slice():
    scored, clusters_N = simulated(2, seed=1), np.arange(400).astype(str)
    codes_N = np.where(np.arange(400) < 100, -1, 0)
    (part,) = evaluate_slices(scored, clusters_N, Slicing("some", ("later ones",), codes_N), CONFIG)
    assert part.n == 300


def test_a_slice_without_a_protein_has_no_metrics():
    scored, clusters_N = simulated(2, seed=1), np.arange(400).astype(str)
    slicing = Slicing("two", ("all", "none"), np.zeros(400, dtype=int))
    empty = evaluate_slices(scored, clusters_N, slicing, CONFIG)[1]
    assert empty == ("none", 0, 0, (0, 0), None, None, {}, "no protein")


def one(labels, clusters=None, n_classes=2):
    """The only slice of proteins with these labels."""
    labels_N = np.array(labels)
    p_NC = np.random.default_rng(0).dirichlet(np.ones(n_classes), size=len(labels_N))
    scored = Scored(p_NC, labels_N, 0.5 if n_classes == 2 else None)
    clusters_N = np.arange(len(labels_N)) if clusters is None else np.array(clusters)
    slicing = Slicing("all", ("all",), np.zeros(len(labels_N), dtype=int))
    return evaluate_slices(scored, clusters_N.astype(str), slicing, CONFIG)[0]


SMALL = {
    "four positives": (one([1] * 4 + [0] * 50), "4 positive proteins"),
    "one positive": (one([1] + [0] * 50), "1 positive protein"),
    "no positive": (one([0] * 50), "no positive protein"),
    "three negatives": (one([1] * 50 + [0] * 3), "3 negative proteins"),
    "all positives related": (
        one([1] * 50 + [0] * 50, [0] * 50 + [*range(1, 51)]),
        "positive proteins of 1 cluster only",
    ),
    "three families of negatives": (
        one([1] * 50 + [0] * 50, [*range(50)] + [100 + i % 3 for i in range(50)]),
        "negative proteins of 3 clusters only",
    ),
    "enough of both": (one([1] * 10 + [0] * 10), ""),
    "few of five classes": (one([0, 1, 2, 3], n_classes=5), "4 proteins"),
    "enough of five classes": (one([0, 1, 2, 3] * 5, n_classes=5), ""),
}


@pytest.mark.parametrize(("part", "small"), SMALL.values(), ids=SMALL.keys())
def test_a_slice_says_why_it_is_small_with(part, small):
    assert part.small == small


def test_a_slice_of_one_class_says_why_its_metrics_are_undefined():
    part = one([0] * 50)
    assert part.prevalence == 0.0
    assert part.undefined["average_precision"] == part.undefined["recall"] == "no positive protein"
    assert {name for name, value in part.resampled.values.items() if np.isnan(value)} == part.undefined.keys()
    assert np.isfinite(part.resampled.estimates(0.95)["brier"]).all()


@pytest.mark.parametrize(
    ("key", "edges", "message"),
    [
        ("length_edges", [400, 200], r"\[400, 200\]; expected rising numbers"),
        ("identity_edges", [0.3, 0.3], r"\[0.3, 0.3\]; expected rising numbers"),
        ("identity_edges", [30, 50], "30; expected less than 1"),
        ("length_edges", [], "expected .*at least 1 item"),
    ],
)
def test_edges_that_do_not_rise_are_refused_by_key(key, edges, message):
    with pytest.raises(ConfigError, match=rf"evaluation\.{key}.*{message}"):
        from_mapping(EvaluationConfig, {key: edges}, where="evaluation")
