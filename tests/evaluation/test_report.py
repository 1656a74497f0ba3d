"""The report folder: every figure that has a meaning, no number that has none, whole or not at all."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from tfclass.config import CorpusConfig, EvaluateConfig, EvaluationConfig
from tfclass.corpus.table import LabelledProteins
from tfclass.errors import OutputError
from tfclass.evaluation.figures import evaluation_figures
from tfclass.evaluation.metrics import Estimate, Scored, all_metrics
from tfclass.evaluation.report import Report, write_report

PNG = b"\x89PNG\r\n\x1a\n"
BINARY = ("nonTF", "TF")
FIVE = ("nonTF", "bHLH", "bZIP", "homeobox", "zinc finger")
BOTH_TASKS = {"calibration", "confusion"}
BINARY_TASK = BOTH_TASKS | {"scores"}
BOTH_CLASSES = BINARY_TASK | {"precision_recall", "roc"}


def proteins(labels, classes, vocabulary, seed=0) -> LabelledProteins:
    rng = np.random.default_rng(seed)
    labels = np.asarray(labels, dtype=np.int64)
    tokens = [rng.integers(1, 21, size=30).astype(np.uint8) for _ in labels]
    frame = pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(len(labels))],
            "sequence": [vocabulary.decode(t) for t in tokens],
            "label": [classes[label] for label in labels],
            "cluster": [f"c{i // 3}" for i in range(len(labels))],
        }
    )
    return LabelledProteins(frame, tokens, labels, classes, "d" * 64)


def scored(labels, n_classes, seed=0) -> Scored:
    labels = np.asarray(labels)
    p_NC = np.random.default_rng(seed).dirichlet(np.ones(n_classes), size=len(labels))
    p_NC = (p_NC + 0.5 * np.eye(n_classes)[labels]) / 1.5
    return Scored(p_NC, labels, 0.5 if n_classes == 2 else None)


@pytest.fixture
def make(vocabulary, small_bundle):
    """Make a report on given labels."""

    def make(labels, classes=BINARY, train=(0, 1), *, baselines=True, scores=None) -> Report:
        config = EvaluateConfig(
            corpus=CorpusConfig(path="t.tsv", classes=classes),
            evaluation=EvaluationConfig(n_bootstrap=20, baselines=baselines),
            bundle="b",
            report="r",
        )
        test = proteins(labels, classes, vocabulary)
        training = None if train is None else proteins(np.resize(train, 60), classes, vocabulary, seed=1)
        scores = scored(labels, len(classes)) if scores is None else scores
        return Report.make(config, small_bundle, test, test, scores, training, {"python": "3"})

    return make


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


CASES = {
    "a binary split": (np.arange(60) % 3 == 0, BINARY, (0, 1), BOTH_CLASSES),
    "five classes": (np.arange(60) % 5, FIVE, (0, 1, 2, 3, 4), BOTH_TASKS),
    "five classes of which two are there": (np.arange(30) % 2, FIVE, (0, 1, 2), BOTH_TASKS),
    "sixteen classes": (np.arange(64) % 16, tuple(f"class {i}" for i in range(16)), (0, 1), BOTH_TASKS),
    "a split without a positive": (np.zeros(30, int), BINARY, (0, 1), BINARY_TASK),
    "a split of positives alone": (np.ones(30, int), BINARY, (0, 1), BINARY_TASK),
    "a single protein": (np.ones(1, int), BINARY, (0, 1), BINARY_TASK),
    "a single protein of five classes": (np.full(1, 3), FIVE, (0, 1), BOTH_TASKS),
}


@pytest.mark.parametrize(("labels", "classes", "train", "figures"), CASES.values(), ids=CASES.keys())
def test_a_report_is_written_without_a_warning_or_a_nan_on(labels, classes, train, figures, make, tmp_path):
    report = make(labels.astype(int), classes, train)
    write_report(report, tmp_path / "report")
    assert report.figures.keys() == figures
    assert {path.stem for path in (tmp_path / "report" / "figures").iterdir()} == figures
    for path in (tmp_path / "report" / "figures").iterdir():
        content = path.read_bytes()
        assert content.startswith(PNG)
        assert len(content) > 5000

    def refuse(constant):
        raise AssertionError(constant)

    content = json.loads((tmp_path / "report" / "report.json").read_text(), parse_constant=refuse)
    assert content == report.content
    assert content["class_counts"] == {name: int((labels == i).sum()) for i, name in enumerate(classes)}
    assert len(pd.read_csv(tmp_path / "report" / "predictions.tsv", sep="\t")) == len(labels)
    assert all(np.isfinite(value) for value in report.numbers().values())


def texts(figure: Figure) -> list[str]:
    axes = figure.axes[0]
    legend = axes.get_legend()
    labels = [text.get_text() for text in legend.get_texts()] if legend else []
    return [axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), *labels, *(t.get_text() for t in axes.texts)]


@pytest.mark.parametrize("labels", [np.arange(60) % 2, np.zeros(30, int), np.ones(30, int)])
def test_no_figure_says_nan_and_every_axis_is_named(labels, make):
    for name, figure in make(labels).figures.items():
        title, x, y, *others = texts(figure)
        assert title, name
        assert x, name
        assert y, name
        assert not any("nan" in text.lower() for text in others), name


def test_the_confusion_figure_shows_the_counts():
    p_N = np.array([0.9, 0.9, 0.1, 0.9, 0.1])
    scores = Scored(np.stack([1 - p_N, p_N], axis=1), np.array([1, 1, 1, 0, 0]), 0.5)
    estimates = {name: Estimate(value, value, value) for name, value in all_metrics(scores, 10).items()}
    shown = texts(evaluation_figures(scores, BINARY, estimates, 10)["confusion"])[3:]
    assert shown == ["1\n50.0%", "1\n50.0%", "1\n33.3%", "2\n66.7%"]


def test_the_numbers_are_those_of_the_metrics(make):
    labels = np.arange(60) % 2
    scores = scored(labels, 2, seed=4)
    report = make(labels, scores=scores)
    for name, value in all_metrics(scores, 15).items():
        assert report.content["metrics"][name]["value"] == pytest.approx(value)
        assert report.numbers()[f"test_{name}"] == pytest.approx(value)
    assert report.content["n_proteins"] == 60
    assert report.content["n_clusters"] == 20
    assert report.content["prevalence"] == 0.5


def test_an_undefined_metric_is_null_and_is_not_tracked(make):
    report = make(np.zeros(30, int))
    assert report.content["metrics"]["average_precision"] == {"value": None, "low": None, "high": None}
    assert report.content["metrics"]["recall"]["value"] is None
    assert "test_average_precision" not in report.numbers()
    assert "test_brier" in report.numbers()


def test_the_baseline_stands_beside_the_model(make):
    report = make(np.arange(60) % 2)
    baseline = report.content["baselines"]["composition_regression"]
    assert baseline["metrics"].keys() == report.content["metrics"].keys()
    assert 0 < baseline["threshold"] < 1
    assert "test_composition_regression_auroc" in report.numbers()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"baselines": False}, "evaluation.baselines is false"),
        ({"train": None}, "the table has no train split with two classes to fit it on"),
        ({"train": (1,)}, "the table has no train split with two classes to fit it on"),
    ],
    ids=["switched off", "without a train split", "a train split of one class"],
)
def test_a_baseline_that_is_left_out_says_why(options, reason, make):
    baselines = make(np.arange(60) % 2, **options).content["baselines"]
    assert baselines == {"composition_regression": {"left_out": reason}}


def test_predictions_name_the_call_and_its_probability(make):
    scores = Scored(np.array([[0.2, 0.8], [0.7, 0.3], [0.5, 0.5]]), np.array([1, 1, 0]), 0.5)
    predictions = make([1, 1, 0], scores=scores).predictions
    assert predictions.columns.tolist() == ["id", "label", "call", "probability", "cluster"]
    assert predictions["call"].tolist() == ["TF", "nonTF", "TF"]
    assert predictions["label"].tolist() == ["TF", "TF", "nonTF"]
    assert predictions["probability"].tolist() == [0.8, 0.3, 0.5]


def test_predictions_of_many_classes_have_the_called_class_probability(make):
    scores = Scored(np.array([[0.1, 0.6, 0.1, 0.1, 0.1], [0.3, 0.2, 0.2, 0.2, 0.1]]), np.array([1, 4]), None)
    predictions = make([1, 4], FIVE, scores=scores).predictions
    assert predictions["call"].tolist() == ["bHLH", "nonTF"]
    assert predictions["probability"].tolist() == [0.6, 0.3]


def test_an_old_report_is_replaced_whole(make, tmp_path):
    folder = tmp_path / "report"
    write_report(make(np.arange(60) % 2), folder)
    (folder / "left over").write_text("")
    write_report(make(np.zeros(30, int)), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["figures", "predictions.tsv", "report.json"]
    assert not (folder / "figures" / "roc.png").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_failure_keeps_the_old_report_and_leaves_nothing_behind(make, tmp_path):
    folder = tmp_path / "report"
    report = make(np.arange(60) % 2)
    write_report(report, folder)
    before = (folder / "report.json").read_bytes()
    # A figure's name that is no file name: the failure comes last, when all else is written.
    report.figures["no/such/folder"] = Figure()
    with pytest.raises(
        OutputError, match=r"report: found a place that cannot be written \(No such file or directory\)"
    ):
        write_report(report, folder)
    assert (folder / "report.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_nan_in_the_content_is_refused_not_written(make, tmp_path):
    report = make(np.arange(60) % 2)
    report.content["environment"]["speed"] = float("nan")
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(report, tmp_path / "report")
    assert list(tmp_path.iterdir()) == []
