"""Splits: whole clusters, stratified, seeded, and honest about what is missing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfclass.config import SplitConfig
from tfclass.data.split import FLATTERS, assign_splits, check_classes, select_split, split_corpus, split_policy
from tfclass.data.table import LabelledProteins
from tfclass.errors import ConfigError, TableError


def proteins(clusters, labels, **columns) -> LabelledProteins:
    labels = np.asarray(labels, dtype=np.int64)
    ids = [f"p{i}" for i in range(len(labels))]
    names = np.array(["nonTF", "TF"])[labels]
    frame = pd.DataFrame({"id": ids, "sequence": "M", "label": names, "cluster": list(clusters), **columns})
    return LabelledProteins(frame, [np.ones(1, np.uint8)] * len(labels), labels, ("nonTF", "TF"), "digest")


def many(seed=0, n_clusters=400):
    """Clusters of one to four proteins, a quarter of them positive."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, size=n_clusters)
    clusters = np.repeat([f"c{i}" for i in range(n_clusters)], sizes)
    return proteins(clusters, np.repeat(np.arange(n_clusters) % 4 == 0, sizes))


def test_the_column_policy_keeps_the_column_as_it_is():
    given_splits = ["train", "odd", "test", "train"]
    split = assign_splits(
        proteins("abcd", [0, 1, 0, 1], split=given_splits), SplitConfig.default(policy="column"), "t.tsv"
    )
    assert split.frame["split"].tolist() == given_splits


@pytest.mark.parametrize(
    ("clustered", "by_options", "action"),
    [
        (True, False, "add one (tfclass data split), or use split=cluster or split=random"),
        (True, True, "add one (tfclass data split)"),
        (False, False, "add one (tfclass data cluster, then tfclass data split), or use split=random"),
        (False, True, "add one (tfclass data cluster, then tfclass data split)"),
    ],
)
def test_the_column_policy_without_a_split_column_suggests_commands(clustered, by_options, action):
    table = proteins("aabb", [0, 0, 1, 1])._replace(clustered=clustered)
    with pytest.raises(TableError) as caught:
        assign_splits(table, SplitConfig.default(policy="column"), "t.tsv", by_options=by_options)
    assert str(caught.value) == f"t.tsv: found no column 'split'; expected one with train, valid, test; {action}"


def test_the_cluster_policy_needs_a_cluster_column():
    table = proteins([f"p{i}" for i in range(30)], [0, 1] * 15)
    with pytest.raises(TableError) as caught:
        assign_splits(table._replace(clustered=False), SplitConfig.default(policy="cluster"), "t.tsv")
    assert str(caught.value) == (
        "t.tsv: found no column 'cluster'; add one (tfclass data cluster), or say split=random"
    )
    split = assign_splits(table, SplitConfig.default(policy="cluster"), "t.tsv")
    assert set(split.frame["split"]) == {"train", "valid", "test"}


@settings(max_examples=60, deadline=None)
@given(
    members=st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=150),
    valid=st.floats(0.05, 0.45),
    test=st.floats(0.05, 0.45),
    seed=st.integers(0, 9),
)
def test_clusters_are_never_divided_even_with_mixed_labels(members, valid, test, seed):
    clusters, labels = zip(*members, strict=True)
    table = proteins([f"c{c}" for c in clusters], labels)
    split = assign_splits(table, SplitConfig.default(policy="cluster", valid=valid, test=test, seed=seed), "t.tsv")
    assert split.frame.groupby("cluster")["split"].nunique().max() == 1
    assert set(split.frame["split"]) <= {"train", "valid", "test"}
    assert split.frame.drop(columns="split").equals(table.frame)


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=60),
    valid=st.floats(0.05, 0.45),
    test=st.floats(0.05, 0.45),
)
def test_split_shares_are_exact_to_one_cluster_per_class(sizes, valid, test):
    labels_of = np.arange(len(sizes)) % 2
    table = proteins(np.repeat([f"c{i}" for i in range(len(sizes))], sizes), np.repeat(labels_of, sizes))
    split = assign_splits(table, SplitConfig.default(policy="cluster", valid=valid, test=test), "t.tsv").frame["split"]
    for label in (0, 1):
        own = split[table.labels == label]
        slack = max(size for size, its in zip(sizes, labels_of, strict=True) if its == label) / len(own) + 1e-9
        assert test - slack <= (own == "test").mean() <= test + slack
        assert valid - slack <= (own == "valid").mean() <= valid + slack


def test_a_huge_cluster_does_not_leave_the_other_splits_short():
    sizes = [400] + [1] * 600
    table = proteins(np.repeat([f"c{i}" for i in range(601)], sizes), np.repeat(np.arange(601) % 2, sizes))
    split = assign_splits(table, SplitConfig.default(policy="cluster"), "t.tsv").frame["split"]
    assert (split[:400] == "train").all()
    for label in (0, 1):
        assert (split[table.labels == label] == "test").mean() == pytest.approx(0.1, abs=0.005)


def test_each_kingdom_is_stratified():
    table = many(n_clusters=2000)
    kingdoms = table.frame["cluster"].map(lambda name: ["Bacteria", "Fungi", "Metazoa"][int(name[1:]) % 7 % 3])
    table = table._replace(frame=table.frame.assign(kingdom=kingdoms))
    split = assign_splits(table, SplitConfig.default(policy="cluster"), "t.tsv").frame
    shares = split.groupby(["label", "kingdom"])["split"].value_counts(normalize=True).unstack()
    assert len(shares) == 6
    np.testing.assert_allclose(shares[["test", "valid"]], 0.1, atol=0.02)


def test_kingdoms_with_one_cluster_still_fill_all_splits():
    table = proteins([f"c{i}" for i in range(100)] * 2, [0] * 200)
    table = table._replace(frame=table.frame.assign(kingdom=[f"k{i}" for i in range(100)] * 2))
    split = assign_splits(table, SplitConfig.default(policy="cluster"), "t.tsv").frame["split"]
    assert split.value_counts().to_dict() == {"train": 160, "valid": 20, "test": 20}


def test_folds_test_every_protein_once_and_divide_no_cluster():
    table = many()
    tested, validated = [], []
    for fold in range(5):
        split = assign_splits(table, SplitConfig.default(policy="folds", folds=5, fold=fold), "t.tsv").frame
        assert split.groupby("cluster")["split"].nunique().max() == 1
        assert set(split["split"]) == {"train", "valid", "test"}
        tested.append(split.loc[split["split"] == "test", "id"].tolist())
        validated.append(split.loc[split["split"] == "valid", "id"].tolist())
        assert (split["split"] == "test").mean() == pytest.approx(0.2, abs=0.01)
    assert sorted(sum(tested, [])) == sorted(table.frame["id"])
    # The fold after the one that is tested is validation.
    assert validated == tested[1:] + tested[:1]


def test_a_fold_number_above_the_last_is_refused():
    with pytest.raises(ConfigError, match="split.fold: found 5; expected 0 to 4, as split.folds says"):
        SplitConfig.default(policy="folds", folds=5, fold=5)


@pytest.mark.parametrize("policy", ["column", "random"])
def test_max_members_is_refused_without_a_cluster_policy(policy):
    with pytest.raises(ConfigError, match=f"split.max_members: found 2 with split.policy={policy}; expected null"):
        SplitConfig.default(policy=policy, max_members=2)


@pytest.mark.parametrize("most", [1, 2, 3])
def test_max_members_limits_each_cluster_and_class(most):
    rng = np.random.default_rng(0)
    table = proteins([f"c{i}" for i in rng.integers(0, 40, 300)], rng.integers(0, 2, 300))
    config = SplitConfig.default(policy="cluster", max_members=most)
    kept = assign_splits(table, config, "t.tsv").frame
    expected = table.frame.groupby(["cluster", "label"]).size().clip(upper=most)
    assert kept.groupby(["cluster", "label"]).size().equals(expected)
    rows = rng.permutation(300)
    shuffled = table._replace(frame=table.frame.iloc[rows], labels=table.labels[rows])
    assert set(assign_splits(shuffled, config, "t.tsv").frame["id"]) == set(kept["id"])


@pytest.mark.parametrize("policy", ["cluster", "random"])
def test_both_classes_have_the_configured_shares(policy):
    table = many()
    split = assign_splits(table, SplitConfig.default(policy=policy, valid=0.1, test=0.2), "t.tsv").frame["split"]
    for label in (0, 1):
        shares = split[table.labels == label].value_counts(normalize=True)
        assert shares["test"] == pytest.approx(0.2, abs=0.03)
        assert shares["valid"] == pytest.approx(0.1, abs=0.03)


def test_the_random_policy_divides_clusters():
    split = assign_splits(many(), SplitConfig.default(policy="random"), "t.tsv").frame
    assert (split.groupby("cluster")["split"].nunique() > 1).mean() > 0.1


def test_a_random_split_is_reported_as_random_from_the_manifest_too(caplog):
    brought = many()._replace(frame=assign_splits(many(), SplitConfig.default(policy="cluster"), "t.tsv").frame)
    column = SplitConfig.default(policy="column")
    for made, policy in (({"policy": "random"}, "random"), ({"policy": "folds"}, "folds"), (None, "column")):
        caplog.clear()
        table = brought._replace(manifest={"split": made} if made else {})
        assert split_policy(table, column) == policy
        assign_splits(table, column, "t.tsv")
        assert [FLATTERS in message for message in caplog.messages] == [True] * (policy == "random")
    made_at_random = brought._replace(manifest={"split": {"policy": "random"}})
    assert split_policy(made_at_random, SplitConfig.default(policy="cluster")) == "cluster"
    assert split_policy(brought, SplitConfig.default(policy="random")) == "random"
    assert split_policy(brought, column) == "column"


@pytest.mark.parametrize("policy", ["cluster", "random"])
def test_splits_depend_on_the_seed_only(policy):
    def splits(seed):
        return assign_splits(many(), SplitConfig.default(policy=policy, seed=seed), "t.tsv").frame["split"].tolist()

    assert splits(3) == splits(3)
    assert splits(3) != splits(4)


def test_the_order_of_the_rows_does_not_change_a_cluster_split():
    table = many()
    rows = np.random.default_rng(0).permutation(len(table.labels))
    shuffled = table._replace(frame=table.frame.iloc[rows], labels=table.labels[rows])
    config = SplitConfig.default(policy="cluster")
    before = assign_splits(table, config, "t.tsv").frame.set_index("id")["split"]
    after = assign_splits(shuffled, config, "t.tsv").frame.set_index("id")["split"]
    assert after.loc[before.index].equals(before)


def test_select_split_returns_the_proteins_of_one_split():
    table = proteins("abcd", [0, 1, 0, 1], split=["train", "test", "test", "train"])
    part = select_split(table, "test", "t.tsv")
    assert part.frame["id"].tolist() == ["p1", "p2"]
    assert part.labels.tolist() == [1, 0]
    assert len(part.tokens) == 2


def test_a_missing_split_is_refused_with_the_existing_ones():
    table = proteins("abcd", [0, 1, 0, 1], split=["train", "valid", "valid", "train"])
    with pytest.raises(TableError) as caught:
        select_split(table, "test", "t.tsv")
    assert (
        str(caught.value) == "t.tsv, column 'split': found no row with 'test'; expected some (there are: train, valid)"
    )


def test_a_split_of_one_class_is_refused_and_one_of_two_is_not():
    table = proteins("abcd", [0, 1, 1, 1])
    check_classes(table, "train", "t.tsv")
    with pytest.raises(TableError) as caught:
        check_classes(table.select(table.labels == 1), "train", "t.tsv")
    assert str(caught.value) == (
        "t.tsv, column 'label', split 'train': found one class only ('TF'); expected at least two"
    )


def written(path, clusters, labels):
    rows = (f"p{i}\tMKV{'A' * i}\t{label}\t{c}\n" for i, (c, label) in enumerate(zip(clusters, labels, strict=True)))
    path.write_text("id\tsequence\tlabel\tcluster\n" + "".join(rows))
    return path


@pytest.mark.parametrize(
    ("options", "recorded"),
    [
        ({"policy": "cluster"}, {"valid": 0.1, "test": 0.1}),
        ({"policy": "cluster", "max_members": 1}, {"valid": 0.1, "test": 0.1, "max_members": 1}),
        ({"policy": "random"}, {"valid": 0.1, "test": 0.1, "warning": FLATTERS}),
        ({"policy": "folds", "folds": 3, "fold": 1}, {"folds": 3, "fold": 1}),
    ],
)
def test_the_manifest_records_how_a_table_was_split(tmp_path, options, recorded):
    table = written(tmp_path / "t.tsv", [f"c{i // 2}" for i in range(80)], ["TF", "TF", "nonTF", "nonTF"] * 20)
    manifest = split_corpus(table, tmp_path / "o.tsv", SplitConfig.default(seed=3, **options))
    assert manifest["split"] == {"policy": options["policy"], "seed": 3, **recorded}
    kept = pd.read_csv(tmp_path / "o.tsv", sep="\t")
    assert manifest["funnel"]["rows_out"] == len(kept) == (40 if "max_members" in options else 80)
    if "max_members" in options:
        step = {"step": "further cluster members", "why": "of a cluster and class, more than 1", "lost": 40, "left": 40}
        assert manifest["funnel"]["steps"][-1] == step


def test_a_class_with_fewer_clusters_or_proteins_than_splits_is_refused(tmp_path):
    table = written(tmp_path / "t.tsv", "aabbcdef", ["TF"] * 4 + ["nonTF"] * 4)
    with pytest.raises(TableError) as caught:
        split_corpus(table, tmp_path / "o.tsv", SplitConfig.default(policy="cluster"))
    assert str(caught.value) == (
        f"{table}, column 'label': found 1 of 2 classes with fewer clusters than splits: TF (2); expected at least 3; "
        "leave them out, or join them (tfclass data import --rename)"
    )
    table = written(tmp_path / "t.tsv", "abcd", ["TF"] * 2 + ["nonTF"] * 2)
    with pytest.raises(TableError, match=r"2 of 2 classes with fewer proteins than splits: TF \(2\), nonTF \(2\)"):
        split_corpus(table, tmp_path / "o.tsv", SplitConfig.default(policy="random"))
    assert not (tmp_path / "o.tsv").exists()


def test_a_class_that_would_be_missing_in_a_split_is_refused(tmp_path):
    # Of three clusters with a TF the large one counts as nonTF and goes to training; the other two fill two splits.
    clusters = ["a"] * 21 + ["b"] * 5 + ["c"] + [f"d{i}" for i in range(20)]
    table = written(tmp_path / "t.tsv", clusters, ["TF"] + ["nonTF"] * 20 + ["TF"] * 6 + ["nonTF"] * 20)
    with pytest.raises(TableError) as caught:
        split_corpus(table, tmp_path / "o.tsv", SplitConfig.default(policy="cluster"))
    assert str(caught.value) == (
        f"{table}, column 'split': found no 'TF' in test (1 of 6 combinations); expected each class in each split; "
        "another seed, other shares or fewer classes may do"
    )
