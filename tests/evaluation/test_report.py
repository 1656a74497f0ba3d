"""The report folder: every figure that has a meaning, no number that has none, whole or not at all."""

import json
import re
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, matthews_corrcoef, precision_score, recall_score

from tfclass.channels.calibration import at_prevalence, estimate_prevalence
from tfclass.channels.thresholds import OperatingPoint
from tfclass.config import CorpusConfig, EvaluateConfig, EvaluationConfig
from tfclass.data.table import LabelledProteins
from tfclass.errors import OutputError
from tfclass.evaluation.baselines import Baseline
from tfclass.evaluation.bootstrap import Estimate
from tfclass.evaluation.content import from_json, to_json
from tfclass.evaluation.figures import report_figures
from tfclass.evaluation.formats import difference_in_words
from tfclass.evaluation.homologues import Above, Homologues, LeftOut, find_homologues
from tfclass.evaluation.metrics import all_metrics
from tfclass.evaluation.report import Evaluation, Report, make_report, write_report
from tfclass.evaluation.scored import Scored
from tfclass.sequences.identifiers import entry_link

PNG = b"\x89PNG\r\n\x1a\n"
BINARY = ("nonTF", "TF")
FIVE = ("nonTF", "bHLH", "bZIP", "homeobox", "zinc finger")
ONE_CLASS = {"calibration", "confusion", "scores"}
SEVERAL = {"calibration", "confusion", "by_length"}
BOTH_CLASSES = ONE_CLASS | {"precision_recall", "roc", "by_length"}
NOT_SEARCHED = Homologues(None, "MMseqs2 is not installed; pip install 'tfclass[homology]'")


def proteins(labels, classes, alphabet, seed=0, **columns) -> LabelledProteins:
    rng = np.random.default_rng(seed)
    labels = np.asarray(labels, dtype=np.int64)
    tokens = [rng.integers(1, 21, size=rng.integers(30, 90)).astype(np.uint8) for _ in labels]
    frame = pd.DataFrame(
        {
            "id": [f"p{i}" for i in range(len(labels))],
            "sequence": [alphabet.decode(t) for t in tokens],
            "label": [classes[label] for label in labels],
            "cluster": [f"c{i // 3}" for i in range(len(labels))],
            "split": "test",
        }
        | columns
    )
    return LabelledProteins(frame, tokens, labels, classes, "d" * 64)


def scored(labels, n_classes, seed=0, skill=0.5) -> Scored:
    labels = np.asarray(labels)
    p_NC = np.random.default_rng(seed).dirichlet(np.ones(n_classes), size=len(labels))
    p_NC = (p_NC + skill * np.eye(n_classes)[labels]) / (1 + skill)
    return Scored(p_NC, labels, 0.5 if n_classes == 2 else None)


def baseline(labels, n_classes, seed=1, skill=0.5, name="other") -> Baseline:
    answer = scored(labels, n_classes, seed, skill)
    return Baseline(f"the {name}", answer.probability_NC, answer.threshold, True, "Made up for a test.")


def report_of(config, bundle, test, scores, baselines, train=None, homologues=None) -> Report:
    rule, homologues = bundle.decision_rule, homologues or NOT_SEARCHED
    evaluation = Evaluation(config, bundle, "network", rule, test, test, scores, train, homologues, baselines)
    return make_report(evaluation, {"python": "3"}, command="tfclass evaluate", residues_per_second=1.0, started=0.0)


def found(targets, identities) -> Homologues:
    """Hits of the scored proteins: the row of a training protein, or -1, and the identity to it."""
    rows = [
        {"query": q, "target": t, "identity": i, "query_coverage": 1.0, "target_coverage": 1.0, "e_value": 1e-9}
        | {"bits": 100.0}
        for q, (t, i) in enumerate(zip(targets, identities, strict=True))
        if t >= 0
    ]
    return Homologues(pd.DataFrame(rows))


@pytest.fixture
def make(alphabet, small_bundle):
    """Make a report on given labels."""

    def make(
        labels,
        classes=BINARY,
        *,
        scores=None,
        baselines=None,
        train=None,
        homologues=NOT_SEARCHED,
        bundle=None,
        **columns,
    ) -> Report:
        config = EvaluateConfig.default(
            corpus=CorpusConfig.default(path="t.tsv", classes=classes),
            evaluation=EvaluationConfig.default(n_bootstrap=20),
            bundle="b",
            report="r",
        )
        labels = np.asarray(labels, dtype=np.int64)
        test = proteins(labels, classes, alphabet, **columns)
        scores = scored(labels, len(classes)) if scores is None else scores
        threshold = 0.5 if len(classes) == 2 else None
        bundle = replace(small_bundle, threshold=threshold, classes=classes) if bundle is None else bundle
        if baselines is None:
            baselines = {"other": baseline(labels, len(classes)), "gone": LeftOut("it is not there", "the gone")}
        return report_of(config, bundle, test, scores, baselines, train, homologues)

    return make


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


CASES = {
    "a binary split": (np.arange(60) % 3 == 0, BINARY, BOTH_CLASSES),
    "five classes": (np.arange(60) % 5, FIVE, SEVERAL),
    "five classes of which two are there": (np.arange(30) % 2, FIVE, SEVERAL),
    "sixteen classes": (np.arange(64) % 16, tuple(f"class {i}" for i in range(16)), SEVERAL),
    "classes whose names look like formulas": (np.arange(30) % 3, ("$a$", "\\frac$", "$$_"), SEVERAL),
    "a split without a positive": (np.zeros(30, int), BINARY, ONE_CLASS),
    "a split of positives alone": (np.ones(30, int), BINARY, ONE_CLASS),
    "a single protein": (np.ones(1, int), BINARY, ONE_CLASS),
    "a single protein of five classes": (np.full(1, 3), FIVE, {"calibration", "confusion"}),
}


@pytest.mark.parametrize(("labels", "classes", "figures"), CASES.values(), ids=CASES.keys())
def test_a_report_is_written_without_a_warning_or_a_nan_on(labels, classes, figures, make, tmp_path):
    report = make(labels.astype(int), classes)
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
    assert content == to_json(report.content)
    assert to_json(from_json((tmp_path / "report" / "report.json").read_bytes())) == content
    assert content["class_counts"] == {name: int((labels == i).sum()) for i, name in enumerate(classes)}
    assert len(pd.read_csv(tmp_path / "report" / "predictions.tsv", sep="\t")) == len(labels)
    assert all(np.isfinite(value) for value in report.content.numbers().values())


def texts(figure: Figure) -> list[str]:
    axes = figure.axes[0]
    legend = axes.get_legend()
    labels = [text.get_text() for text in legend.get_texts()] if legend else []
    title = axes.get_title() or figure.get_suptitle()
    # The panels of a figure with two share the axis of the lower one.
    return [
        title,
        axes.get_xlabel() or figure.axes[-1].get_xlabel(),
        axes.get_ylabel(),
        *labels,
        *(t.get_text() for t in axes.texts),
    ]


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
    estimates = {name: Estimate(v, v, v) for name, v in all_metrics(scores, 10).items()}
    shown = texts(report_figures(scores, BINARY, estimates, 10, {}, {})["confusion"])[3:]
    assert shown == ["1\n50.0%", "1\n50.0%", "1\n33.3%", "2\n66.7%"]


def test_the_numbers_are_those_of_the_metrics(make):
    labels = np.arange(60) % 2
    scores = scored(labels, 2, seed=4)
    report = make(labels, scores=scores)
    for name, value in all_metrics(scores, 15).items():
        assert report.content.metrics[name].value == pytest.approx(value)
        assert report.content.numbers()[name] == pytest.approx(value)
    assert report.content.n_proteins == 60
    assert report.content.n_clusters == 20
    assert report.content.prevalence == 0.5


def test_an_undefined_metric_is_null_says_why_and_is_not_tracked(make):
    report = make(np.zeros(30, int))
    undefined = to_json(report.content)["metrics"]["average_precision"]
    assert undefined == {"value": None, "low": None, "high": None, "reason": "no positive protein"}
    assert report.content.metrics["recall"].value is None
    assert "average_precision" not in report.content.numbers()
    assert "brier" in report.content.numbers()


def without_reason(content, path="content"):
    """Every estimate in the content that has a null and no reason."""
    if isinstance(content, list):
        return [fault for i, item in enumerate(content) for fault in without_reason(item, f"{path}[{i}]")]
    if not isinstance(content, dict):
        return []
    if {"value", "low", "high"} <= content.keys():
        return [path] if None in content.values() and not content.get("reason") else []
    return [fault for key, item in content.items() for fault in without_reason(item, f"{path}.{key}")]


@pytest.mark.parametrize(("labels", "classes", "figures"), CASES.values(), ids=CASES.keys())
def test_no_estimate_is_null_without_a_reason_on(labels, classes, figures, make):
    assert without_reason(to_json(make(labels.astype(int), classes).content)) == []


def test_the_lead_over_a_baseline_is_the_difference_of_the_scores(make):
    labels = np.arange(90) % 3 == 0
    other = baseline(labels.astype(int), 2, skill=0.2)
    report = make(labels, scores=(own := scored(labels.astype(int), 2)), baselines={"other": other})
    lead = report.content.baselines["other"].difference
    ap, mcc = (
        metric(labels, one) - metric(labels, two)
        for metric, one, two in (
            (average_precision_score, own.probability_NC[:, 1], other.scores_NC[:, 1]),
            (matthews_corrcoef, own.predicted_N, other.scores_NC[:, 1] >= 0.5),
        )
    )
    assert lead["average_precision"].value == pytest.approx(ap)
    assert lead["mcc"].value == pytest.approx(mcc)
    assert lead["mcc"].low <= lead["mcc"].high
    numbers = report.content.numbers()
    assert numbers["other/lead_in_mcc"] == pytest.approx(mcc)
    assert numbers["other/mcc"] == pytest.approx(matthews_corrcoef(labels, other.scores_NC[:, 1] >= 0.5))


@pytest.mark.parametrize(
    ("own", "other", "outcome", "words"),
    [
        (0.2, 3.0, "loses", "small loses to the other: average precision 0."),
        (3.0, 0.0, "wins", "small beats the other: average precision 1.000 against 0."),
        (3.0, 3.0, "ahead", "small is not clearly better than the other: "),
    ],
)
def test_it_is_said_in_words_whether_the_model_beats_a_baseline(own, other, outcome, words, make):
    labels = (np.arange(150) % 3 == 0).astype(int)
    baselines = {"other": baseline(labels, 2, skill=other), "again": baseline(labels, 2, skill=0.0, seed=9)}
    conclusions = make(labels, scores=scored(labels, 2, skill=own), baselines=baselines).content.conclusions
    (conclusion,) = (c for c in conclusions if c.baseline == "other")
    assert conclusion.outcome == outcome
    assert conclusion.text.startswith(words)
    # The worst comes first.
    assert conclusions[0].outcome == ("loses" if outcome == "loses" else conclusions[0].outcome)


def test_scores_below_zero_are_written_as_their_differences_are(make):
    labels = (np.arange(150) % 3 == 0).astype(int)
    baselines = {"other": baseline(labels, 2, skill=3.0)}
    upside_down = Scored(scored(1 - labels, 2, skill=2.0).probability_NC, labels, 0.5)
    (conclusion,) = make(labels, scores=upside_down, baselines=baselines).content.conclusions
    assert "MCC −1.000 against 1.000" in conclusion.text
    assert not re.search(r"-\d", conclusion.text)


def test_a_model_that_is_behind_by_what_may_be_chance_is_said_to_be_behind(make):
    labels = (np.arange(150) % 3 == 0).astype(int)
    other = baseline(labels, 2, skill=0.4, seed=0)
    nearly = other.scores_NC.copy()
    wrong = int(np.flatnonzero((labels == 1) & (other.scores_NC[:, 1] >= 0.5))[0])
    nearly[wrong] = [0.51, 0.49]
    (conclusion,) = make(labels, scores=Scored(nearly, labels, 0.5), baselines={"other": other}).content.conclusions
    assert conclusion.outcome == "behind"
    assert "an interval that holds 0" in conclusion.text


def test_a_split_of_one_class_cannot_be_compared(make):
    (conclusion,) = make(np.zeros(30, int)).content.conclusions
    assert conclusion.outcome == "undecided"
    assert conclusion.text == "small cannot be compared with the other: no positive protein."


def test_a_difference_is_written_with_its_sign():
    assert difference_in_words(Estimate(0.25, 0.125, 0.5)) == "+0.250 [+0.125, +0.500]"
    assert difference_in_words(Estimate(-0.25, None, None)) == "−0.250"


def test_a_baseline_that_is_left_out_says_why(make):
    content = make(np.arange(60) % 2).content
    assert to_json(content)["baselines"]["gone"] == {"title": "the gone", "left_out": "it is not there"}


def test_the_worst_mistakes_are_the_surest_wrong_predictions(make):
    labels = (np.arange(200) % 2).astype(int)
    answer = scored(labels, 2, skill=0.1)
    report = make(labels, scores=answer, kingdom="Fungi")
    frame = pd.DataFrame({"id": [f"p{i}" for i in range(200)], "y": labels, "p": answer.probability_NC[:, 1]})
    false = frame[(frame.y == 0) & (frame.p >= 0.5)].sort_values("p", ascending=False, kind="stable")
    missed = frame[(frame.y == 1) & (frame.p < 0.5)].sort_values("p", kind="stable")
    for kind, expected in zip(report.content.mistakes, (false, missed), strict=True):
        assert kind.total == len(expected) > 20
        assert [protein.id for protein in kind.proteins] == expected.id.head(20).tolist()
        assert [protein.probability for protein in kind.proteins] == expected.p.head(20).tolist()
        assert {protein.kingdom for protein in kind.proteins} == {"Fungi"}
        assert {protein.nearest for protein in kind.proteins} == {None}


def test_mistakes_of_many_classes_name_the_predicted_class(make):
    labels = np.arange(100) % 5
    answer = scored(labels, 5, skill=0.2)
    (kind,) = make(labels, FIVE, scores=answer).content.mistakes
    wrong = np.flatnonzero(answer.predicted_N != labels)
    assert kind.total == len(wrong)
    surest = wrong[np.argmax(answer.probability_NC[wrong].max(axis=1))]
    first = kind.proteins[0]
    assert (first.id, first.label) == (f"p{surest}", FIVE[labels[surest]])
    assert first.call == FIVE[answer.predicted_N[surest]]


@pytest.mark.parametrize(
    ("record_id", "accession"),
    [
        *((accession, accession) for accession in ("A2BC19", "P12345", "Q9H9S0", "A0A023GPI8", "O15350", "A0A385XJ53")),
        ("sp|P12345|AATM_RABIT", "P12345"),
        ("tr|A0A023GPI8|A0A023GPI8_CANBL", "A0A023GPI8"),
        ("P12345-2", "P12345"),
        *((other, None) for other in ("AT5G15210.1", "p12345", "P1234", "P123456", "GCN4_YEAST", "sp|x|P12345", "")),
        *((other, None) for other in ("P12345/../x", "P12345\n", " P12345", "LOC_Os01g48290.1", "P12345 GCN4")),
    ],
)
def test_only_accessions_lead_to_uniprot(record_id, accession):
    expected = f"https://www.uniprot.org/uniprotkb/{accession}/entry" if accession else None
    assert entry_link(record_id) == expected


def test_leakage_counts_what_the_scored_proteins_share_with_the_training_proteins(make, alphabet):
    labels = (np.arange(40) % 2).astype(int)
    train = proteins(np.arange(30) % 2, BINARY, alphabet, seed=5)
    test = proteins(labels, BINARY, alphabet)
    train.tokens[3] = test.tokens[7]
    train.frame["cluster"] = ["c0", "c1", *(f"t{i}" for i in range(28))]
    rng = np.random.default_rng(0)
    targets = np.where(np.arange(40) < 30, rng.integers(0, 30, 40), -1)
    identities = rng.uniform(0.2, 1.0, 40)
    report = make(labels, train=train, homologues=found(targets, identities))
    audit, known = report.content.leakage, identities[:30]
    assert (audit.n_train, audit.identical_sequences, audit.shared_clusters) == (30, 1, 6)
    assert audit.identity.n_with_homologue == 30
    assert audit.identity.n_without == 10
    assert audit.identity.median == pytest.approx(np.median(known))
    for level, above in audit.identity.above.items():
        assert above == Above((known > float(level)).sum(), (known > float(level)).sum() / 40)
    assert sum(audit.identity.histogram) == 30
    assert audit.identity.histogram[9] == (known >= 0.9).sum()
    numbers = {part.label: part.n for part in report.content.subgroups["identity"].subgroups}
    assert numbers["none found"] == 10
    assert sum(numbers.values()) == 40
    assert report.predictions["nearest"].tolist()[:30] == [f"p{t}" for t in targets[:30]]
    assert report.predictions["identity"].isna().sum() == 10


@pytest.mark.parametrize(
    ("train", "reason"),
    [(None, "the table has no train split; "), ((0, 1), "MMseqs2 is not installed; pip install")],
    ids=["without a train split", "without MMseqs2"],
)
def test_an_audit_that_cannot_be_made_says_why(train, reason, make, alphabet):
    training = None if train is None else proteins(train, BINARY, alphabet, seed=3)
    homologues = NOT_SEARCHED if train else find_homologues(None, proteins(np.arange(2), BINARY, alphabet))
    content = make(np.arange(30) % 2, train=training, homologues=homologues).content
    audit = content.leakage if train is None else content.leakage.identity
    assert audit.left_out.startswith(reason)
    assert content.subgroups["identity"].left_out


def test_threshold_rules_say_what_they_do_here(make, small_bundle):
    labels = (np.arange(90) % 3 == 0).astype(int)
    answer = scored(labels, 2, skill=0.3)
    points = (OperatingPoint(0.2, 0.4, 0.95), OperatingPoint(0.6, 0.04, 0.7))
    bundle = replace(small_bundle, threshold=0.5, operating_points=points)
    rules = {rule.rule: rule for rule in make(labels, scores=answer, bundle=bundle).content.thresholds}
    # The lowest probability down to which the mean of 1 - p is small enough; the bundle knows no prevalence to move to.
    p_N = np.sort(answer.probability_NC[:, 1].round(6))[::-1]
    lowest = p_N[np.cumsum(1 - p_N) / np.arange(1, 91) <= 0.05][-1]
    expected = {"max-mcc": 0.5, "fdr=0.05": lowest, "recall=0.9": 0.2}
    assert {rule: r.threshold for rule, r in rules.items()} == expected
    assert {rule.prevalence for rule in rules.values()} == {None}
    for rule in rules.values():
        predicted = answer.probability_NC[:, 1].round(6) >= rule.threshold
        assert rule.predicted == predicted.sum()
        assert rule.precision == pytest.approx(precision_score(labels, predicted))
        assert rule.fdr == pytest.approx(1 - precision_score(labels, predicted))
        assert rule.recall == pytest.approx(recall_score(labels, predicted))


def test_a_rule_that_the_model_cannot_follow_says_why(make, small_bundle):
    rules = make(np.arange(30) % 2, bundle=small_bundle).content.thresholds
    assert rules[0].threshold == 0.5
    assert rules[2].left_out == "threshold recall=0.9: the model has no operating points; give a number"


def test_the_rule_for_false_discoveries_is_applied_at_the_estimated_prevalence(make, small_bundle):
    labels = (np.arange(90) % 3 == 0).astype(int)
    answer = scored(labels, 2, skill=0.3)
    bundle = replace(small_bundle, calibration=replace(small_bundle.calibration, prevalence=0.1))
    rule = make(labels, scores=answer, bundle=bundle).content.thresholds[1]
    assert rule.prevalence == pytest.approx(estimate_prevalence(answer.probability_NC[:, 1], 0.1), abs=1e-6)
    moved_N = at_prevalence(answer.probability_NC[:, 1], 0.1, rule.prevalence)
    assert rule.predicted == (moved_N.round(6) >= rule.threshold).sum() > 0


def test_predictions_name_the_predicted_class_and_its_probability(make):
    scores = Scored(np.array([[0.2, 0.8], [0.7, 0.3], [0.5, 0.5]]), np.array([1, 1, 0]), 0.5)
    predictions = make([1, 1, 0], scores=scores).predictions
    known = ["id", "label", "call", "probability", "cluster", "length", "nearest", "identity"]
    assert predictions.columns.tolist() == known
    assert predictions["call"].tolist() == ["TF", "nonTF", "TF"]
    assert predictions["label"].tolist() == ["TF", "TF", "nonTF"]
    assert predictions["probability"].tolist() == [0.8, 0.3, 0.5]


def test_predictions_of_many_classes_have_the_predicted_class_probability(make):
    scores = Scored(np.array([[0.1, 0.6, 0.1, 0.1, 0.1], [0.3, 0.2, 0.2, 0.2, 0.1]]), np.array([1, 4]), None)
    predictions = make([1, 4], FIVE, scores=scores).predictions
    assert predictions["call"].tolist() == ["bHLH", "nonTF"]
    assert predictions["probability"].tolist() == [0.6, 0.3]
    assert predictions["p:zinc finger"].tolist() == [0.1, 0.1]


def test_an_old_report_is_replaced_whole_but_for_files_of_a_user(make, tmp_path):
    folder = tmp_path / "report"
    first, second = make(np.arange(60) % 2), make(np.zeros(30, int))
    assert "roc" not in second.figures
    write_report(replace(first, figures={"roc": first.figures["roc"]}), folder)
    (folder / "notes.md").write_text("mine")
    (folder / "figures" / "mine.png").write_text("mine")
    write_report(second, folder)
    assert sorted(path.name for path in folder.iterdir()) == [
        "figures",
        "notes.md",
        "predictions.tsv",
        "report.html",
        "report.json",
    ]
    assert not (folder / "figures" / "roc.png").exists()
    assert (folder / "notes.md").read_text() == (folder / "figures" / "mine.png").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_failure_keeps_the_old_report_and_leaves_nothing_behind(make, tmp_path):
    folder = tmp_path / "report"
    report = make(np.arange(60) % 2)
    report = replace(report, figures={"roc": report.figures["roc"]})
    write_report(report, folder)
    before = (folder / "report.json").read_bytes()
    # A figure's name that is no file name: the failure comes late, when much is written.
    report = replace(report, figures=report.figures | {"no/such/folder": Figure()})
    with pytest.raises(
        OutputError, match=r"report: found a place that cannot be written \(No such file or directory\)"
    ):
        write_report(report, folder)
    assert (folder / "report.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_nan_in_the_content_is_refused_not_written(make, tmp_path):
    report = make(np.arange(60) % 2)
    report = replace(report, content=replace(report.content, environment={"speed": float("nan")}), figures={})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(report, tmp_path / "report")
    assert list(tmp_path.iterdir()) == []
