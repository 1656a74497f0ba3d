"""Subgroups: every protein in the right one, each scored as if it were alone, and small ones marked."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation.test_metrics import simulated
from tfclass.config import EvaluationConfig, from_mapping
from tfclass.errors import ConfigError
from tfclass.evaluation.metrics import all_metrics, resampled_metrics
from tfclass.evaluation.scored import Scored
from tfclass.evaluation.subgroups import Grouping, Subgroup, by_column, by_identity, by_length, score_grouping

CONFIG = EvaluationConfig.default(n_bootstrap=50)


def scored_of(scored, clusters_N, grouping, config=CONFIG):
    return score_grouping(scored, clusters_N, grouping, [str(c) for c in range(scored.n_classes)], config)


def named(grouping: Grouping) -> list[str]:
    return [grouping.labels[code] for code in grouping.codes_N]


def test_lengths_fall_between_the_edges():
    grouping = by_length(np.array([1, 200, 201, 400, 401, 35_000]), (200, 400))
    assert grouping.labels == ("up to 200", "201 to 400", "above 400")
    assert named(grouping) == [*["up to 200"] * 2, *["201 to 400"] * 2, *["above 400"] * 2]


def test_a_single_edge_makes_two_subgroups():
    assert by_length(np.array([5]), (200,)).labels == ("up to 200", "above 200")


def test_identities_fall_between_the_edges_and_nan_is_none_found():
    grouping = by_identity(np.array([np.nan, 0.0, 0.2999, 0.3, 0.5, 0.69, 0.7, 1.0]), (0.3, 0.5, 0.7))
    assert grouping.labels == ("none found", "below 30 %", "30 to 50 %", "50 to 70 %", "70 % and above")
    assert grouping.codes_N.tolist() == [0, 1, 1, 2, 3, 3, 4, 4]


@pytest.mark.parametrize("identity", [35.0, -0.1])
def test_identities_in_percent_are_refused(identity):
    with pytest.raises(ValueError, match="an identity is not between 0 and 1"):
        by_identity(np.array([0.5, np.nan, identity]), (0.3,))


def test_values_of_a_column_come_commonest_first_and_unknown_ones_last():
    grouping = by_column("kingdom", np.array(["", "Fungi", "Metazoa", "", "", "Metazoa"]))
    assert grouping.title == "kingdom"
    assert grouping.labels == ("Metazoa", "Fungi", "not stated")
    assert named(grouping) == ["not stated", "Fungi", "Metazoa", "not stated", "not stated", "Metazoa"]


def test_rare_values_of_a_column_are_taken_together():
    values_N = np.repeat([f"family {i}" for i in range(12)], np.arange(12, 0, -1))
    grouping = by_column("family", values_N)
    assert grouping.labels == (*(f"family {i}" for i in range(8)), "other")
    assert (grouping.codes_N == 8).sum() == 4 + 3 + 2 + 1


@settings(deadline=None)
@given(st.lists(st.sampled_from(["", "a", "b", "c", *"defghijkl"]), min_size=1, max_size=60))
def test_every_protein_is_in_a_subgroup_of_its_column(values):
    grouping = by_column("column", np.array(values))
    for value, label in zip(values, named(grouping), strict=True):
        assert label == (value or "not stated") or (label == "other" and len(grouping.labels) >= 9)
    assert set(grouping.codes_N.tolist()) == set(range(len(grouping.labels)))


@pytest.mark.parametrize("n_classes", [2, 5])
def test_a_subgroup_is_scored_as_if_it_were_alone(n_classes):
    scored, clusters_N = simulated(n_classes, seed=1), (np.arange(400) // 2).astype(str)
    grouping = Grouping("thirds", ("a", "b", "c"), np.arange(400) // 2 % 3)
    subgroups = scored_of(scored, clusters_N, grouping)
    assert [part.label for part in subgroups] == ["a", "b", "c"]
    for code, part in enumerate(subgroups):
        rows_N = grouping.codes_N == code
        alone = Scored(scored.probability_NC[rows_N], scored.labels_N[rows_N], scored.threshold)
        assert part.metrics == resampled_metrics(alone, clusters_N[rows_N], CONFIG).estimates()
        assert {name: e.value for name, e in part.metrics.items()} == all_metrics(alone, 15)
        assert part.n == rows_N.sum() == sum(part.class_counts.values())
        assert part.n_clusters == len(set(clusters_N[rows_N]))
        assert part.prevalence == (np.mean(alone.labels_N == 1) if n_classes == 2 else None)
        assert part.small == ""


def test_the_seed_and_the_number_of_resamples_are_those_of_the_configuration():
    scored, clusters_N = simulated(2, seed=1), np.arange(400).astype(str)
    grouping = Grouping("all", ("all",), np.zeros(400, dtype=int))
    scored_draws = resampled_metrics(scored, clusters_N, CONFIG).draws["mcc"]
    for seed, n in ((0, 50), (1, 50), (0, 60)):
        config = replace(CONFIG, seed=seed, n_bootstrap=n)
        (part,) = scored_of(scored, clusters_N, grouping, config)
        resampled = resampled_metrics(scored, clusters_N, config)
        assert len(resampled.draws["mcc"]) == n
        assert part.metrics == resampled.estimates()
        assert (resampled.draws["mcc"][:50] == scored_draws[:50]).all() == (seed == 0)


def test_a_protein_may_be_in_no_subgroup():
    scored, clusters_N = simulated(2, seed=1), np.arange(400).astype(str)
    codes_N = np.where(np.arange(400) < 100, -1, 0)
    (part,) = scored_of(scored, clusters_N, Grouping("some", ("later ones",), codes_N))
    assert part.n == 300


def test_a_subgroup_without_a_protein_has_no_metrics():
    scored, clusters_N = simulated(2, seed=1), np.arange(400).astype(str)
    grouping = Grouping("two", ("all", "none"), np.zeros(400, dtype=int))
    empty = scored_of(scored, clusters_N, grouping)[1]
    assert empty == Subgroup("none", 0, 0, {"0": 0, "1": 0}, None, "no protein", None)


def one(labels, clusters=None, n_classes=2):
    """The only subgroup of proteins with these labels."""
    labels_N = np.array(labels)
    p_NC = np.random.default_rng(0).dirichlet(np.ones(n_classes), size=len(labels_N))
    scored = Scored(p_NC, labels_N, 0.5 if n_classes == 2 else None)
    clusters_N = np.arange(len(labels_N)) if clusters is None else np.array(clusters)
    grouping = Grouping("all", ("all",), np.zeros(len(labels_N), dtype=int))
    return scored_of(scored, clusters_N.astype(str), grouping)[0]


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
def test_a_subgroup_says_why_it_is_small_with(part, small):
    assert part.small == small


def test_a_subgroup_of_one_class_says_why_its_metrics_are_undefined():
    part = one([0] * 50)
    assert part.prevalence == 0.0
    assert part.metrics["average_precision"].reason == part.metrics["recall"].reason == "no positive protein"
    assert all(estimate.reason for estimate in part.metrics.values() if estimate.value is None)
    assert part.metrics["brier"].low <= part.metrics["brier"].value <= part.metrics["brier"].high


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
