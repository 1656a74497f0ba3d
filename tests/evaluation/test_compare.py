"""Comparison of reports: the statistics are those of others, and only like is compared with like."""

import json
import os
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import average_precision_score, cohen_kappa_score, f1_score, matthews_corrcoef

from tests.evaluation.test_report import FIVE, proteins, report_of, scored
from tfclass.cli.console import print_comparison
from tfclass.config import CorpusConfig, EvaluateConfig, EvaluationConfig
from tfclass.errors import ReportError
from tfclass.evaluation.bootstrap import Estimate
from tfclass.evaluation.compare import Kappa, McNemar, compare, kappa, mcnemar
from tfclass.evaluation.figures import differences_figure
from tfclass.evaluation.report import write_report
from tfclass.evaluation.report_reader import read_run
from tfclass.io.drawing import png

QUICK = EvaluationConfig.default(n_bootstrap=50)
LABELS = np.arange(240) % 3 == 0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=200))
def test_mcnemar_is_the_exact_binomial_test_of_the_discordant_pairs(pairs):
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    test = mcnemar(first, second)
    alone = [sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)]
    assert [test.reference_only, test.run_only] == alone
    expected = min(1.0, 2 * binom.cdf(min(alone), sum(alone), 0.5)) if sum(alone) else 1.0
    assert test.p_value == pytest.approx(expected)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=100))
def test_kappa_is_that_of_scikit_learn(pairs):
    first, second = (np.array(column) for column in zip(*pairs, strict=True))
    found = kappa(first, second)
    if len(set(first) | set(second)) == 1:
        assert found == Kappa(None, "both predict one class throughout")
    else:
        assert found.value == pytest.approx(cohen_kappa_score(first, second), abs=1e-12)


@pytest.fixture(scope="module")
def write(alphabet, small_bundle):
    """Write a report into a folder, named like it."""

    def write(folder, labels=LABELS, classes=("nonTF", "TF"), *, seed=0, skill=0.5, scores=None):
        labels = np.asarray(labels, dtype=np.int64)
        config = EvaluateConfig.default(
            corpus=CorpusConfig.default(path="t.tsv"), evaluation=QUICK, bundle="b", report="r"
        )
        bundle = replace(small_bundle, name=folder.name, classes=classes, threshold=0.5 if len(classes) == 2 else None)
        test = proteins(labels, classes, alphabet)
        answer = scored(labels, len(classes), seed, skill) if scores is None else scores
        # A comparison reads no figure, and a report takes longest to draw them.
        write_report(replace(report_of(config, bundle, test, answer, {}), figures={}), folder)
        return folder

    return write


@pytest.fixture
def written(write, tmp_path):
    """Write a report and give its folder."""
    return lambda name, *arguments, **options: write(tmp_path / name, *arguments, **options)


@pytest.fixture(scope="module")
def _pair(write, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    return [write(folder / name, seed=seed) for seed, name in enumerate("ab")]


@pytest.fixture
def pair(_pair, tmp_path):
    """The folders of two reports of the same proteins, a test's own."""
    return [shutil.copytree(folder, tmp_path / folder.name) for folder in _pair]


def rewrite(folder, change):
    path = folder / "predictions.tsv"
    frame = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    change(frame).to_csv(path, sep="\t", index=False)


@pytest.mark.parametrize("classes", [("nonTF", "TF"), FIVE], ids=["binary", "five classes"])
def test_a_report_is_read_back_as_it_was_scored(classes, written):
    labels = np.arange(100) % len(classes)
    answer = scored(labels, len(classes), seed=3)
    run = read_run(written("a", labels, classes, scores=answer), "A")
    np.testing.assert_array_equal(run.scored.labels_N, labels)
    np.testing.assert_array_equal(run.scored.predicted_N, answer.predicted_N)
    np.testing.assert_allclose(run.scored.probability_NC, answer.probability_NC, rtol=1e-15, atol=1e-16)
    assert (run.classes, run.model, run.ids_N[7], run.clusters_N[7]) == (classes, "a", "p7", "c2")


def test_the_differences_are_those_of_the_scores(written):
    a, b = scored(LABELS.astype(int), 2, seed=1, skill=0.4), scored(LABELS.astype(int), 2, seed=2, skill=0.9)
    runs = [read_run(written("a", scores=a), "A"), read_run(written("b", scores=b), "B")]
    content = compare(runs, QUICK)
    (pair,) = content.pairs
    expected = {
        "average_precision": [average_precision_score(LABELS, x.probability_NC[:, 1]) for x in (a, b)],
        "mcc": [matthews_corrcoef(LABELS, x.predicted_N) for x in (a, b)],
        "f1": [f1_score(LABELS, x.predicted_N) for x in (a, b)],
    }
    for name, (first, second) in expected.items():
        assert content.runs[0].metrics[name].value == pytest.approx(first)
        assert content.runs[1].metrics[name].value == pytest.approx(second)
        assert pair.difference[name].value == pytest.approx(second - first)
    assert pair.kappa.value == pytest.approx(cohen_kappa_score(a.predicted_N, b.predicted_N))
    assert pair.same_predictions == (a.predicted_N == b.predicted_N).sum()
    assert pair.mcnemar.run_only == ((b.predicted_N == LABELS) & (a.predicted_N != LABELS)).sum()


def test_the_interval_is_that_of_a_bootstrap_that_draws_clusters_by_hand(written):
    a, b = scored(LABELS.astype(int), 2, seed=1, skill=0.4), scored(LABELS.astype(int), 2, seed=2, skill=0.6)
    runs = [read_run(written("a", scores=a), "A"), read_run(written("b", scores=b), "B")]
    config = EvaluationConfig.default(n_bootstrap=2000)
    found = compare(runs, config).pairs[0].difference
    rng = np.random.default_rng(11)
    members = [np.flatnonzero(runs[0].clusters_N == name) for name in np.unique(runs[0].clusters_N)]
    draws = {"average_precision": [], "mcc": [], "f1": []}
    for _ in range(300):
        rows = np.concatenate([members[k] for k in rng.integers(len(members), size=len(members))])
        y = LABELS[rows]
        p, q = a.probability_NC[rows, 1], b.probability_NC[rows, 1]
        draws["average_precision"].append(average_precision_score(y, q) - average_precision_score(y, p))
        draws["mcc"].append(matthews_corrcoef(y, q >= 0.5) - matthews_corrcoef(y, p >= 0.5))
        draws["f1"].append(f1_score(y, q >= 0.5) - f1_score(y, p >= 0.5))
    for name, values in draws.items():
        low, high = np.percentile(values, [2.5, 97.5])
        # Both ends vary from seed to seed by some hundredths of the width.
        assert found[name].low == pytest.approx(low, abs=0.15 * (high - low))
        assert found[name].high == pytest.approx(high, abs=0.15 * (high - low))


def test_a_report_against_itself_differs_in_nothing(pair):
    runs = [read_run(pair[0], "A"), read_run(pair[0], "copy of A")]
    (compared,) = compare(runs, QUICK).pairs
    for estimate in compared.difference.values():
        assert estimate == Estimate(0.0, 0.0, 0.0)
    assert compared.mcnemar == McNemar(0, 0, 1.0)
    assert compared.kappa.value == pytest.approx(1.0)


def test_the_order_of_the_proteins_does_not_matter(pair):
    a, b = pair
    before = compare([read_run(a, "A"), read_run(b, "B")], QUICK).pairs
    rewrite(b, lambda frame: frame.sample(frac=1, random_state=0))
    assert compare([read_run(a, "A"), read_run(b, "B")], QUICK).pairs == before


def test_several_runs_are_each_compared_with_the_first(pair, written):
    runs = [read_run(folder, folder.name) for folder in (*pair, written("c", seed=2))]
    content = compare(runs, QUICK)
    assert [(pair.run, pair.reference) for pair in content.pairs] == [("b", "a"), ("c", "a")]
    alone = compare([runs[0], runs[2]], QUICK).pairs
    assert alone == content.pairs[1:]
    table = content.table()
    assert table["run"].tolist() == ["a", "b", "c"]
    assert table["difference_mcc"].isna().tolist() == [True, False, False]
    assert table["prevalence"].tolist() == [1 / 3] * 3
    assert table["same_calls"][1] == content.pairs[0].same_predictions
    differences = {pair.run: pair.difference for pair in content.pairs}
    figure = differences_figure(differences, content.reference, content.n_proteins)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["b", "c"]
    assert png(figure).startswith(b"\x89PNG")


def test_five_classes_are_compared_by_their_means(written):
    labels = np.arange(200) % 5
    a, b = scored(labels, 5, seed=1), scored(labels, 5, seed=2, skill=1.0)
    runs = [read_run(written("a", labels, FIVE, scores=a), "A"), read_run(written("b", labels, FIVE, scores=b), "B")]
    (pair,) = compare(runs, QUICK).pairs
    macro = [f1_score(labels, x.predicted_N, average="macro") for x in (a, b)]
    assert pair.difference["f1"].value == pytest.approx(macro[1] - macro[0])
    assert compare(runs, QUICK).prevalence is None


def test_what_is_undefined_says_why(written, capsys):
    labels = np.zeros(60, int)
    calm = scored(labels, 2, skill=50.0)
    runs = [read_run(written(name, labels, scores=calm), name) for name in "ab"]
    content = compare(runs, QUICK)
    (pair,) = content.pairs
    assert pair.difference["mcc"].reason == "no positive protein"
    assert pair.kappa == Kappa(None, "both predict one class throughout")
    assert json.loads(json.dumps(content.to_json(), allow_nan=False)) == content.to_json()
    print_comparison(content)
    cells = [cell.strip() for line in capsys.readouterr().out.splitlines() for cell in line.split("│")]
    assert not [cell for cell in cells if "nan" in cell.lower()]
    assert any(cell.startswith("–") for cell in cells)
    assert all(re.fullmatch(r"– \[\d\]", cell) for cell in cells if cell.startswith("–"))


CHANGES = {
    "a protein less": (lambda f: f[f["id"] != "p17"], r"B: found no protein 'p17'; expected those of A"),
    "a protein more": (
        lambda f: pd.concat([f, f.iloc[:1].assign(id="new")]),
        r"B: found protein 'new', which A does not have; expected the same proteins",
    ),
    "another label": (
        lambda f: f.assign(label=f["label"].where(f["id"] != "p17", "TF")),
        r"B, protein 'p17': found label 'TF'; expected 'nonTF' as in A",
    ),
    "a column less": (lambda f: f.drop(columns="call"), r"B, predictions.tsv: found no column 'call'; expected what"),
    "an unknown label": (
        lambda f: f.assign(label="TFF"),
        r"B, predictions.tsv: found a value that cannot be read \('TFF'\)",
    ),
    "a word for a number": (
        lambda f: f.assign(probability="high"),
        r"B, predictions.tsv: found a value that cannot be read \(could not convert",
    ),
    "a number that is none": (
        lambda f: f.assign(probability="nan"),
        r"B, predictions.tsv: found a value that cannot be read \(a probability that is no finite number\)",
    ),
    "an edited call": (
        lambda f: f.assign(call="TF"),
        r"B, predictions.tsv: found a call for 'p\d+' that does not follow from its probability; evaluate again",
    ),
    "no protein": (
        lambda f: f.iloc[:0],
        r"B, predictions.tsv: found no protein; expected what tfclass evaluate writes",
    ),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES.keys())
def test_what_cannot_be_compared_is_named_in_one_line(change, message, pair):
    a, b = pair
    rewrite(b, change)
    with pytest.raises(ReportError, match=message) as raised:
        compare([read_run(a, "A"), read_run(b, "B")], QUICK)
    assert "\n" not in str(raised.value)


def test_reports_of_other_classes_are_not_compared(written):
    a, b = written("a", np.arange(60) % 2), written("b", np.arange(60) % 2, FIVE)
    with pytest.raises(ReportError, match="B: found classes nonTF, bHLH, bZIP.*; expected nonTF, TF, as in A"):
        compare([read_run(a, "A"), read_run(b, "B")], QUICK)


def test_one_run_and_the_same_run_twice_are_refused(pair):
    run = read_run(pair[0], "A")
    with pytest.raises(ReportError, match="compare: found 1 run; expected at least two"):
        compare([run], QUICK)
    with pytest.raises(ReportError, match="A: found the same run twice; expected each run once"):
        compare([run, run], QUICK)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "report.json").unlink(), "A: found no report.json; expected a report; name the folder"),
        (lambda f: (f / "predictions.tsv").unlink(), "A: found no predictions.tsv; expected the whole report folder"),
        (lambda f: (f / "report.json").write_text("{"), "report.json: found damaged content"),
        (lambda f: (f / "report.json").write_text("[]"), "report.json: found damaged content"),
        (lambda f: (f / "report.json").write_bytes(b"\xff\xfe"), "report.json: found damaged content"),
        (lambda f: (f / "predictions.tsv").write_bytes(b""), "predictions.tsv: found a table that cannot be read"),
        (lambda f: (f / "predictions.tsv").write_bytes(b"\xff\xfe\xff"), "predictions.tsv: found a table that cannot"),
    ],
    ids=["no report", "no predictions", "half a report", "a list", "no text", "empty predictions", "bytes"],
)
def test_a_damaged_report_is_named(damage, message, pair):
    folder = pair[0]
    damage(folder)
    with pytest.raises(ReportError) as raised:
        read_run(folder, "A")
    assert message in str(raised.value)


def entry(key, text):
    """Put JSON text in the place of a value of the model."""

    def edit(folder):
        path = folder / "report.json"
        content = json.loads(path.read_text())
        content["bundle"][key] = "HERE"
        path.write_text(json.dumps(content).replace('"HERE"', text))

    return edit


def whole(**values):
    return lambda folder: (folder / "report.json").write_text(
        json.dumps(json.loads((folder / "report.json").read_text()) | values)
    )


def cells(column, value):
    """Put a value in the place of one cell."""

    def edit(folder):
        rewrite(folder, lambda frame: frame.assign(**{column: [value, *frame[column].iloc[1:]]}))

    return edit


def lines(change):
    def edit(folder):
        path = folder / "predictions.tsv"
        path.write_text(change(path.read_text()))

    return edit


def instead(name, make):
    def edit(folder):
        (folder / name).unlink()
        make(folder / name)

    return edit


def sparse(path):
    with path.open("wb") as stream:
        stream.truncate(1 << 40)


def zero(path):
    path.symlink_to("/dev/zero")


EDITS = {
    "nested deeply": (lambda f: (f / "report.json").write_text("[" * 100_000 + "]" * 100_000), "recursion limit"),
    "nested deeply inside": (entry("name", "[" * 100_000 + "]" * 100_000), "recursion limit"),
    "a list of models": (whole(bundle=["name", "threshold"]), "(bundle: Input should be"),
    "no model": (whole(bundle=None), "(bundle: Input should be"),
    "a model without values": (whole(bundle={}), "(bundle.name: Field required)"),
    "counts in a list": (whole(class_counts=["nonTF", "TF"]), "(class_counts: Input should be"),
    "one class": (whole(class_counts={"TF": 240}), "(class_counts: Dictionary should have at least 2 items"),
    "a class of no text": (
        whole(class_counts={"a\ud800": 1, "TF": 2}),
        "Invalid JSON: unexpected end of hex escape",
    ),
    "a count that is none": (whole(class_counts={"nonTF": "1", "TF": 2}), "(class_counts.nonTF: Input should be"),
    "a class with a control character": (whole(class_counts={"a\x1b[2J": 1, "TF": 2}), "without control characters"),
    "name: number": (entry("name", "3"), "(bundle.name: Input should be a valid string)"),
    "name: list": (entry("name", '["a"]'), "(bundle.name: Input should be a valid string)"),
    "name: null": (entry("name", "null"), "(bundle.name: Input should be a valid string)"),
    "name: lone surrogate": (entry("name", '"\\ud800"'), "Invalid JSON: unexpected end of hex escape"),
    "name: escape": (entry("name", '"a\\u001b[2J"'), "(bundle.name: a text without control characters"),
    "name: line end": (entry("name", '"a\\nb"'), "(bundle.name: a text without control characters"),
    "name: direction mark": (entry("name", '"a\\u202eb"'), "(bundle.name: a text without control characters"),
    "name: long": (entry("name", '"' + "a" * 100_000 + '"'), "(bundle.name: String should have at most 200 char"),
    "name: empty": (entry("name", '""'), "(bundle.name: String should have at least 1 char"),
    "threshold: text": (entry("threshold", '"0.5"'), "(bundle.threshold: Input should be a valid number)"),
    "threshold: NaN": (entry("threshold", "NaN"), "(bundle.threshold: Input should be "),
    "threshold: infinite": (entry("threshold", "-Infinity"), "(bundle.threshold: Input should be greater"),
    "threshold: object": (entry("threshold", "{}"), "(bundle.threshold: Input should be a valid number)"),
    "threshold: bool": (entry("threshold", "true"), "(bundle.threshold: Input should be a valid number)"),
    "threshold: 400 digits": (
        entry("threshold", "1" + "0" * 400),
        "(bundle.threshold: Input should be less",
    ),
    "threshold: 5,000 digits": (entry("threshold", "1" * 5000), "(Invalid JSON: number out of range"),
    "threshold: above 1": (entry("threshold", "1.5"), "(bundle.threshold: Input should be less"),
    "probability: negative": (cells("probability", "-1"), "(a probability outside 0 to 1)"),
    "probability: above 1": (cells("probability", "1.0000001"), "(a probability outside 0 to 1)"),
    "probability: NaN": (cells("probability", "NaN"), "(a probability that is no finite number)"),
    "probability: infinite": (cells("probability", "inf"), "(a probability that is no finite number)"),
    "probability: empty": (cells("probability", ""), "(could not convert"),
    "two columns of ids": (lines(lambda t: t.replace("length", "id", 1)), "more than one column 'id'"),
    "two columns of probabilities": (
        lines(lambda t: t.replace("length", "probability", 1)),
        "more than one column 'probability'",
    ),
    "a protein twice": (cells("id", "p7"), "more than one protein 'p7'"),
    "no id": (cells("id", ""), "a protein without id"),
    "no cluster": (cells("cluster", ""), "a protein without cluster"),
    "a long label": (cells("label", "a" * 10_000), "a value that cannot be read ('aaa"),
    "a row cut off": (lines(lambda t: t + "p999\tTF\tTF\t0.9"), "a protein without cluster"),
    "a longer row": (lines(lambda t: t + "\t" * 20 + "\n"), "a table that cannot be read"),
} | {
    f"{name}: {kind}": (instead(name, make), f"{name}: found {words}")
    for name in ("report.json", "predictions.tsv")
    for kind, make, words in (
        ("named pipe", os.mkfifo, "a named pipe; expected a plain file"),
        ("folder", os.mkdir, "a folder; expected a plain file"),
        ("endless device", zero, "a symbolic link; expected a plain file"),
        ("sparse file", sparse, "a file of 1.0 TiB; expected at most"),
    )
}


@pytest.mark.parametrize(("edit", "message"), EDITS.values(), ids=EDITS.keys())
def test_an_edited_report_is_refused_in_one_short_line(edit, message, pair):
    edit(pair[1])
    with pytest.raises(ReportError) as raised:
        read_run(pair[1], "B")
    line = str(raised.value)
    assert message in line
    assert "\n" not in line
    assert len(line) < 600
    line.encode()
