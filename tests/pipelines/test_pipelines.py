"""Table to bundle to report to prediction, the whole way, with nothing replaced but the figures of a report."""

import json
import shutil
from dataclasses import replace

import mlflow
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from sklearn.metrics import average_precision_score, matthews_corrcoef

from tests.conftest import SMALL
from tfclass.bundle.bundle import load_bundle
from tfclass.channels.threshold_fit import expected_mcc_threshold, operating_points
from tfclass.config import (
    CompareConfig,
    CorpusConfig,
    EvaluateConfig,
    EvaluationConfig,
    RuntimeConfig,
    SkipgramConfig,
    SplitConfig,
    TrackingConfig,
    TrainConfig,
    TrainingConfig,
)
from tfclass.data.demo import FAMILIES
from tfclass.data.split import FLATTERS, assign_splits, select_split
from tfclass.data.table import read_table
from tfclass.errors import CheckpointError, ReportError, TableError
from tfclass.evaluation.content import to_json
from tfclass.inference.predictor import Predictor
from tfclass.models.forward import scores_of
from tfclass.pipelines.attach import attach
from tfclass.pipelines.compare import compare_runs
from tfclass.pipelines.evaluate import evaluate_bundle
from tfclass.pipelines.train import train_and_package, validation_digest
from tfclass.sequences.alphabet import Alphabet
from tfclass.sequences.fasta import Record
from tfclass.training.trainer import Callbacks, Interrupted

QUICK = TrainingConfig.default(epochs=4, max_residues=2048, learning_rate=0.01)
OFF = TrackingConfig.default(enabled=False)
ONE_THREAD = RuntimeConfig.default(device="cpu", threads=1)
NO_BASELINES = EvaluationConfig.default(n_bootstrap=20, baselines=False)


def train_config(table, folder, **changes):
    options = {
        "corpus": CorpusConfig.default(path=str(table), name="demo"),
        "model": SMALL,
        "training": QUICK,
        "tracking": OFF,
        "runtime": ONE_THREAD,
        "run_dir": str(folder / "run"),
    }
    return TrainConfig.default(**(options | changes))


def evaluate_config(table, bundle, folder, **changes):
    options = {
        "corpus": CorpusConfig.default(path=str(table), name="demo"),
        "evaluation": EvaluationConfig.default(n_bootstrap=20),
        "tracking": OFF,
        "runtime": ONE_THREAD,
        "bundle": str(bundle),
        "report": str(folder / "report"),
    }
    return EvaluateConfig.default(**(options | changes))


@pytest.fixture(scope="module")
def trained(demo_table, tmp_path_factory):
    """A training as most tests have it, for those that only look at what it left."""
    return train_and_package(train_config(demo_table, tmp_path_factory.mktemp("trained")))


def test_training_and_evaluation_agree_with_prediction_and_scikit_learn(trained, demo_table, folder):
    report = evaluate_bundle(evaluate_config(demo_table, trained.bundle, folder))
    frame = pd.read_csv(demo_table, sep="\t")
    test = frame[frame["split"] == "test"]
    rows = list(
        Predictor.load(trained.bundle).predict(Record(i, i, s) for i, s in zip(test.id, test.sequence, strict=True))
    )
    probability = np.array([row.probability for row in rows])
    truth = (test.label == "TF").to_numpy()
    called = np.array([row.label == "TF" for row in rows])
    metrics = {name: estimate["value"] for name, estimate in to_json(report.content)["metrics"].items()}
    assert metrics["average_precision"] == pytest.approx(average_precision_score(truth, probability), abs=1e-4)
    assert metrics["mcc"] == pytest.approx(matthews_corrcoef(truth, called), abs=1e-9)
    assert to_json(report.content)["prevalence"] == pytest.approx(truth.mean())
    assert to_json(report.content)["corpus"]["same_as_in_training"] is True
    # Both are generated.
    assert to_json(report.content)["corpus"]["note"] is None
    written = json.loads((folder / "report" / "report.json").read_text())
    assert written["metrics"] == to_json(report.content)["metrics"]
    saved = pd.read_csv(folder / "report" / "predictions.tsv", sep="\t")
    np.testing.assert_allclose(saved["probability"], probability, atol=2e-6)
    audit = to_json(report.content)["leakage"]
    assert audit["n_train"] == (frame["split"] == "train").sum()
    assert to_json(report.content)["corpus"]["splits"]["valid"]["n_proteins"] == (frame["split"] == "valid").sum()
    trained_clusters = set(frame.loc[frame["split"] == "train", "cluster"])
    assert audit["shared_clusters"] == test["cluster"].isin(trained_clusters).sum()


def test_threshold_and_operating_points_are_those_of_calibrated_validation_probabilities(trained, demo_table):
    bundle = load_bundle(trained.bundle)
    frame = pd.read_csv(demo_table, sep="\t")
    valid = frame[frame["split"] == "valid"]
    tokens = [bundle.alphabet.encode(sequence) for sequence in valid["sequence"]]
    probability_N = bundle.calibration.probability(scores_of(bundle.model, tokens, 2048).logits_NC)[:, 1]
    assert bundle.threshold == expected_mcc_threshold(probability_N)
    assert bundle.operating_points == operating_points(probability_N)
    assert bundle.threshold in [point.threshold for point in bundle.operating_points]


def test_the_seed_decides_the_first_weights_and_what_is_drawn_on_the_way(demo_table, folder):
    once = replace(QUICK, epochs=1, residue_dropout=0.3)
    weights = {}
    for name, seed, rate in (
        ("a", 0, 0.01),
        ("again", 0, 0.01),
        ("b", 1, 0.01),
        ("still", 0, 1e-12),
        ("other", 1, 1e-12),
    ):
        runtime, training = replace(ONE_THREAD, seed=seed), replace(once, learning_rate=rate)
        places = {"run_dir": str(folder / f"run_{name}"), "bundle": str(folder / name)}
        train_and_package(train_config(demo_table, folder, runtime=runtime, training=training, **places))
        weights[name] = safetensors.torch.load_file(folder / name / "model.safetensors")["head.weight"]
    assert torch.equal(weights["a"], weights["again"])
    # Next to no learning rate: these are the first ones.
    assert not torch.allclose(weights["still"], weights["other"], atol=1e-3)
    assert not torch.allclose(weights["a"] - weights["still"], weights["b"] - weights["other"], atol=1e-3)


KMERS = replace(SMALL, encoder="gru", embedding="skipgram", kmer=2)


def test_kmer_vectors_are_learned_ahead_of_the_training_where_the_model_says_so(demo_table, folder):
    # Next to no learning rate: the training itself leaves them as they are.
    still = replace(QUICK, epochs=1, learning_rate=1e-12, skipgram=SkipgramConfig.default(pairs=5000))
    weights = {}
    for embedding in ("skipgram", "learned"):
        model = replace(KMERS, embedding=embedding)
        config = train_config(demo_table, folder, model=model, training=still, run_dir=str(folder / embedding))
        weights[embedding] = load_bundle(train_and_package(config).bundle).model.embedding.weight
    assert weights["skipgram"].shape == weights["learned"].shape
    assert not torch.allclose(weights["skipgram"], weights["learned"], atol=0.05)


def test_kmer_vectors_are_learned_from_the_training_split_alone(demo_table, folder):
    frame = pd.read_csv(demo_table, sep="\t")
    test = frame["split"] == "test"
    frame.loc[test, "sequence"] = frame.loc[test, "sequence"].str[::-1]
    frame.to_csv(folder / "other.tsv", sep="\t", index=False)
    once = replace(QUICK, epochs=1, skipgram=SkipgramConfig.default(pairs=5000))
    weights = []
    for name, path in (("a", demo_table), ("b", folder / "other.tsv")):
        config = train_config(path, folder, model=KMERS, training=once, run_dir=str(folder / name))
        weights.append((train_and_package(config).bundle / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_test_proteins_have_no_part_in_training(trained, demo_table, folder):
    frame = pd.read_csv(demo_table, sep="\t")
    test = frame["split"] == "test"
    frame.loc[test, "sequence"] = "MKV"
    frame.loc[test, "label"] = np.where(frame.loc[test, "label"] == "TF", "nonTF", "TF")
    frame.to_csv(folder / "other.tsv", sep="\t", index=False)
    other = train_and_package(train_config(folder / "other.tsv", folder))
    left, right = load_bundle(trained.bundle), load_bundle(other.bundle)
    assert (left.calibration, left.threshold) == (right.calibration, right.threshold)
    assert (trained.bundle / "model.safetensors").read_bytes() == (other.bundle / "model.safetensors").read_bytes()


def test_a_random_split_is_named_in_card_and_report(demo_table, folder, caplog):
    split, quick = SplitConfig.default(policy="random"), TrainingConfig.default(epochs=1, max_residues=2048)
    trained = train_and_package(train_config(demo_table, folder, split=split, training=quick))
    options = {"split": split, "evaluation": NO_BASELINES}
    report = evaluate_bundle(evaluate_config(demo_table, trained.bundle, folder, **options))
    assert [FLATTERS in message for message in caplog.messages] == [True, True]
    assert "| split | by random |" in (trained.bundle / "MODEL_CARD.md").read_text()
    assert to_json(report.content)["corpus"]["split_policy"] == "random"
    assert FLATTERS in (folder / "report" / "report.html").read_text()


def test_a_model_is_not_judged_by_what_it_learned_from_under_another_split(demo_table, folder):
    quick, split = TrainingConfig.default(epochs=1, max_residues=2048), SplitConfig.default(policy="folds", fold=1)
    trained = train_and_package(train_config(demo_table, folder, split=split, training=quick))
    table = assign_splits(read_table(CorpusConfig.default(path=str(demo_table)), Alphabet()), split, "").frame
    learned = set(table.loc[table["split"] != "test", "id"])
    other = SplitConfig.default(policy="folds", fold=0)
    judged = assign_splits(read_table(CorpusConfig.default(path=str(demo_table)), Alphabet()), other, "").frame
    n = judged.loc[judged["split"] == "test", "id"].isin(learned).sum()
    with pytest.raises(TableError) as caught:
        evaluate_bundle(evaluate_config(demo_table, trained.bundle, folder, split=other, evaluation=NO_BASELINES))
    assert f"found {n} of {n} proteins that demo-bilstm was trained or validated on; expected none" in str(caught.value)
    assert "deal them out as its training did: split=folds split.fold=1" in str(caught.value)
    with pytest.raises(TableError, match="split 'valid': found .* trained or validated on"):
        attach(str(trained.bundle), demo_table, folder / "attached", {"homology": None})
    evaluate_bundle(evaluate_config(demo_table, trained.bundle, folder, split=split, evaluation=NO_BASELINES))


def test_a_score_on_training_proteins_says_so(demo_table, folder, small_bundle_folder, caplog):
    evaluation = EvaluationConfig.default(n_bootstrap=20, split="train")
    report = evaluate_bundle(evaluate_config(demo_table, small_bundle_folder, folder, evaluation=evaluation))
    reason = "the proteins scored are those that are trained on"
    assert to_json(report.content)["leakage"] == {"left_out": reason}
    assert {each["left_out"] for each in to_json(report.content)["baselines"].values()} == {reason}
    assert f"warning: {reason}: scores are too high" in caplog.messages


def test_several_classes_go_the_same_way(demo_table, folder):
    frame = pd.read_csv(demo_table, sep="\t")
    frame["label"] = frame["family"].where(frame["family"].isin(["C2H2", "bZIP"]), "other")
    frame.to_csv(folder / "families.tsv", sep="\t", index=False)
    corpus = CorpusConfig.default(path=str(folder / "families.tsv"), name="families", classes=None)
    trained = train_and_package(train_config("", folder, corpus=corpus))
    report = evaluate_bundle(evaluate_config("", trained.bundle, folder, corpus=corpus))
    bundle = load_bundle(trained.bundle)
    assert bundle.classes == ("C2H2", "bZIP", "other")
    assert bundle.threshold is None
    assert set(to_json(report.content)["class_counts"]) == set(bundle.classes)
    (row,) = Predictor(bundle).predict([Record("a", "a", "MKVLA")])
    assert row.label in bundle.classes
    assert row.threshold is None
    saved = pd.read_csv(folder / "report" / "predictions.tsv", sep="\t")
    called = saved[[f"p:{name}" for name in bundle.classes]].to_numpy()
    assert [bundle.classes[i] for i in called.argmax(axis=1)] == saved["call"].tolist()
    assert "Each class against all others" in (folder / "report" / "report.html").read_text()


def test_families_and_domains_go_the_same_way(demo_table, folder):
    model = replace(SMALL, families=tuple(FAMILIES), domains=True)
    trained = train_and_package(train_config(demo_table, folder, model=model))
    bundle = load_bundle(trained.bundle)
    assert bundle.config == model
    best = trained.history[bundle.provenance["best_epoch"] - 1]
    for name in ("family_accuracy", "domain_f1"):
        assert bundle.provenance["validation"][name] == best[f"valid_{name}"]
    # The same proteins and labels: scores can be compared with those of a network without the heads.
    plain = train_and_package(train_config(demo_table, folder, run_dir=str(folder / "plain")))
    assert load_bundle(plain.bundle).provenance["corpus"]["sha256"] == bundle.provenance["corpus"]["sha256"]
    assert len(bundle.provenance["corpus"]["annotations_sha256"]) == 64
    assert bundle.trained_on_generated
    assert "domain_f1" not in plain.validation
    scores = scores_of(bundle.model, [bundle.alphabet.encode("MKVLAWCK")], 1000)
    assert (scores.family_NK.shape, scores.domains[0].shape) == ((1, len(FAMILIES)), (8,))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"families": ("no", "such")},
            "column 'family', split 'train': found no protein of model.families; expected",
        ),
        ({"domains": True}, "column 'domains', split 'train': found empty cells only; expected some to learn from"),
    ],
    ids=["families", "domains"],
)
def test_heads_that_would_learn_nothing_are_refused(demo_table, folder, options, message):
    pd.read_csv(demo_table, sep="\t").assign(domains="").to_csv(folder / "t.tsv", sep="\t", index=False)
    with pytest.raises(TableError) as raised:
        train_and_package(train_config(folder / "t.tsv", folder, model=replace(SMALL, **options)))
    assert message in str(raised.value)
    assert not (folder / "run").exists()


def test_a_training_that_started_elsewhere_says_so_and_resumes_without(demo_table, folder, small_bundle_folder):
    start = folder / "start"
    shutil.copytree(small_bundle_folder, start)
    config = train_config(
        demo_table, folder, training=replace(QUICK, init_from=str(start)), model=replace(SMALL, domains=True)
    )
    whole = train_and_package(replace(config, run_dir=str(folder / "whole")))
    steps = []
    callbacks = Callbacks(on_step=lambda *step: steps.append(step), should_stop=lambda: len(steps) == 3)
    with pytest.raises(Interrupted):
        train_and_package(config, callbacks)
    # Only the checkpoint counts from here on.
    shutil.rmtree(start)
    resumed = train_and_package(replace(config, resume=config.run_dir))
    left, right = load_bundle(whole.bundle), load_bundle(resumed.bundle)
    n_weights = len(left.model.state_dict())
    expected = {"sha256": load_bundle(small_bundle_folder).digest, "copied": n_weights - 2, "fresh": 2}
    assert left.provenance["init_from"] == right.provenance["init_from"] == expected
    for name, weight in left.model.state_dict().items():
        assert torch.equal(weight, right.model.state_dict()[name]), name
    with pytest.raises(CheckpointError, match="found a checkpoint of another training"):
        train_and_package(replace(config, resume=config.run_dir, training=QUICK))


def test_class_weights_are_undone_in_the_probabilities(demo_table, folder):
    balanced = TrainingConfig.default(epochs=2, max_residues=2048, learning_rate=0.01, class_weight="balanced")
    trained = train_and_package(train_config(demo_table, folder, training=balanced))
    log_weight_C = load_bundle(trained.bundle).calibration.log_weight_C
    frame = pd.read_csv(demo_table, sep="\t")
    labels = frame.loc[frame["split"] == "train", "label"]
    expected = [np.log(len(labels) / (2 * (labels == name).sum())) for name in ("nonTF", "TF")]
    np.testing.assert_allclose(log_weight_C, expected, rtol=1e-6)


def expected_scores(report, trained):
    content = to_json(report.content)
    scores = {f"test/{name}": estimate["value"] for name, estimate in content["metrics"].items()}
    for name, baseline in content["baselines"].items():
        for metric, lead in baseline.get("difference", {}).items():
            scores[f"test/{name}/{metric}"] = baseline["metrics"][metric]["value"]
            scores[f"test/{name}/lead_in_{metric}"] = lead["value"]
    scores |= {f"validation/{name}": trained.validation[name] for name in ("average_precision", "mcc")}
    return {name: pytest.approx(value) for name, value in scores.items() if value is not None}


def test_mlflow_shows_a_training_with_its_evaluation_below_it(demo_table, folder):
    tracking = TrackingConfig.default(experiment="tested")
    trained = train_and_package(train_config(demo_table, folder, tracking=tracking))
    options = {"tracking": tracking, "evaluation": EvaluationConfig.default(n_bootstrap=20, explain=1)}
    report = evaluate_bundle(evaluate_config(demo_table, trained.bundle, folder, **options))
    mlflow.set_tracking_uri(f"sqlite:///{folder.resolve()}/mlflow.db")
    runs = mlflow.search_runs(experiment_names=["tested"], output_format="list")
    evaluation, training = sorted(runs, key=lambda run: run.data.tags["job"])
    assert evaluation.data.tags["mlflow.parentRunId"] == training.info.run_id
    assert training.data.tags["corpus"] == "demo"
    assert training.data.params["training.epochs"] == "4"
    assert {d.tags[0].value for d in training.inputs.dataset_inputs} == {"training", "validation"}
    client = mlflow.MlflowClient()
    history = client.get_metric_history(training.info.run_id, "epoch/valid_ap")
    assert [m.value for m in history] == [entry["valid_ap"] for entry in trained.history]
    expected_tags = {"network": "bilstm", "model": "demo-bilstm", "corpus": "demo", "scored": "test"}
    assert expected_tags.items() <= evaluation.data.tags.items()
    assert evaluation.info.run_name == "demo-bilstm on demo test, network"
    assert evaluation.data.params["n_proteins"] == str(to_json(report.content)["n_proteins"])
    assert evaluation.data.metrics == expected_scores(report, trained)
    assert evaluation.data.tags["mlflow.note.content"].startswith("**Test: average precision ")
    for conclusion in report.content.conclusions:
        assert f"* {conclusion.text}" in evaluation.data.tags["mlflow.note.content"]
    assert training.data.tags["mlflow.note.content"].startswith("**Validation: average precision ")
    logged = {artifact.path for artifact in client.list_artifacts(evaluation.info.run_id, "report")}
    assert logged == {
        f"report/{name}" for name in ("report.html", "report.json", "predictions.tsv", "figures", "explain")
    }
    figures = [artifact.path for artifact in client.list_artifacts(evaluation.info.run_id, "report/explain/figures")]
    assert {path.rpartition(".")[2] for path in figures} == {"png", "svg"}
    assert load_bundle(trained.bundle).provenance["mlflow_run_id"] == training.info.run_id
    model = mlflow.search_logged_models([training.info.experiment_id], output_format="list")[0]
    assert model.name == "demo-bilstm"
    # The page of the model shows the scores of both runs.
    linked = {(m.key, m.run_id, m.value) for m in model.metrics}
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "tfclass", "version": 1}]
    validation = {(f"validation/{n}", training.info.run_id, v) for n, v in trained.validation.items()}
    own = {(n, evaluation.info.run_id, v) for n, v in evaluation.data.metrics.items() if n.startswith("test/")}
    assert linked == validation | own
    answer = mlflow.pyfunc.load_model(model.model_uri).predict(pd.DataFrame({"id": ["x"], "sequence": ["MKVLA"]}))
    (row,) = Predictor.load(trained.bundle).predict([Record("x", "x", "MKVLA")])
    assert answer["probability"][0] == row.probability


def test_an_evaluation_is_of_the_channel_that_prediction_uses(demo_table, folder, with_profiles, with_profiles_folder):
    frame = pd.read_csv(demo_table, sep="\t")
    test = frame[frame["split"] == "test"]
    truth = (test["label"] == "TF").to_numpy()
    client = mlflow.MlflowClient("sqlite:///mlflow.db")
    for channel in ("network", "profile", "combined"):
        asked = None if channel == "combined" else channel
        options = {"channel": asked, "tracking": TrackingConfig.default(), "evaluation": NO_BASELINES}
        config = evaluate_config(demo_table, with_profiles_folder, folder, report=channel, **options)
        report = evaluate_bundle(config)
        records = (Record(i, i, s) for i, s in zip(test.id, test.sequence, strict=True))
        rows = list(Predictor(with_profiles, channel=channel).predict(records))
        stated = report.predictions["probability"].to_numpy()
        np.testing.assert_allclose([row.probability for row in rows], stated, atol=1e-6)
        assert report.predictions["call"].tolist() == [row.label for row in rows]
        mcc = to_json(report.content)["metrics"]["mcc"]["value"]
        assert mcc == pytest.approx(matthews_corrcoef(truth, [row.label == "TF" for row in rows]))
        [run] = client.search_runs([client.get_experiment_by_name("tfclass").experiment_id], max_results=1)
        assert run.data.params["channel"] == channel
        assert run.data.metrics["test/mcc"] == pytest.approx(mcc)


def test_evaluations_are_compared_by_their_mlflow_runs_or_their_folders(trained, demo_table, folder):
    tracking = TrackingConfig.default(experiment="tested")
    for name in ("a", "b"):
        options = {"tracking": tracking, "evaluation": NO_BASELINES}
        evaluate_bundle(evaluate_config(demo_table, trained.bundle, folder, report=str(folder / name), **options))
    mlflow.set_tracking_uri(f"sqlite:///{folder.resolve()}/mlflow.db")
    first, _ = (run.info.run_id for run in mlflow.search_runs(experiment_names=["tested"], output_format="list"))
    config = CompareConfig.default(
        evaluation=EvaluationConfig.default(n_bootstrap=20), tracking=tracking, report=str(folder / "compared")
    )
    content = compare_runs(config, [first, str(folder / "b")])
    assert content.pairs[0].difference["mcc"].value == 0.0
    (run,) = mlflow.search_runs(experiment_names=["tested"], filter_string="tags.job = 'compare'", output_format="list")
    assert run.data.metrics["run_1/difference_in_average_precision"] == 0.0
    assert run.data.metrics["run_1/mcnemar_p"] == 1.0
    logged = {artifact.path for artifact in mlflow.MlflowClient().list_artifacts(run.info.run_id)}
    assert {"compare.json", "compare.tsv", "differences.png"} <= logged
    with pytest.raises(ReportError, match=f"{run.info.run_id}/report: cannot be fetched from MLflow at sqlite:///"):
        compare_runs(config, [run.info.run_id, str(folder / "b")])


def test_a_run_folder_is_not_used_twice(trained, demo_table):
    with pytest.raises(CheckpointError, match="found a training that was here before; expected an empty folder"):
        train_and_package(train_config(demo_table, trained.bundle.parents[1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[f["split"] != "valid"], "column 'split': found no row with 'valid'; expected some (there are: "),
        (
            lambda f: f[(f["split"] != "train") | (f["label"] == "TF")],
            "column 'label', split 'train': found one class only ('TF'); expected at least two",
        ),
        (lambda f: f.drop(columns="split"), "found no column 'split'; expected one with train, valid, test; add one"),
    ],
    ids=["no validation split", "one class in training", "no split column"],
)
def test_a_table_that_cannot_be_trained_on_says_why(demo_table, folder, change, message):
    change(pd.read_csv(demo_table, sep="\t")).to_csv(folder / "bad.tsv", sep="\t", index=False)
    with pytest.raises(TableError) as raised:
        train_and_package(train_config(folder / "bad.tsv", folder))
    assert message in str(raised.value)
    assert not (folder / "run").exists()


def test_clusters_can_be_dealt_out_instead_of_a_split_column(demo_table, folder):
    pd.read_csv(demo_table, sep="\t").drop(columns="split").to_csv(folder / "t.tsv", sep="\t", index=False)
    split = SplitConfig.default(policy="cluster", valid=0.2, test=0.2)
    trained = train_and_package(train_config(folder / "t.tsv", folder, split=split))
    options = {"evaluation": NO_BASELINES}
    report = evaluate_bundle(evaluate_config(folder / "t.tsv", trained.bundle, folder, split=split, **options))
    assert to_json(report.content)["corpus"]["split_policy"] == "cluster"
    # Without a split of its own, an evaluation takes that of the training, on this table alone.
    again = evaluate_bundle(evaluate_config(folder / "t.tsv", trained.bundle, folder, **options))
    assert again.predictions["id"].tolist() == report.predictions["id"].tolist()
    assert to_json(again.content)["configuration"] == to_json(report.content)["configuration"]
    assert "split=cluster split.valid=0.2 split.test=0.2" in to_json(again.content)["command"]
    pd.read_csv(folder / "t.tsv", sep="\t").iloc[1:].to_csv(folder / "other.tsv", sep="\t", index=False)
    with pytest.raises(TableError, match="no column 'split'"):
        evaluate_bundle(evaluate_config(folder / "other.tsv", trained.bundle, folder))
    assert 20 < to_json(report.content)["n_proteins"] < 100


def test_two_trainings_do_not_share_a_folder(demo_table, folder):
    def meanwhile(*_):
        with pytest.raises(CheckpointError, match="run: found a training that is under way; expected none; wait for"):
            train_and_package(config)
        raise Interrupted

    config = train_config(demo_table, folder)
    with pytest.raises(Interrupted):
        train_and_package(config, Callbacks(on_step=meanwhile))


def test_a_version_is_compared_by_its_validation_proteins_alone(demo_table):
    table = read_table(CorpusConfig.default(path=str(demo_table)), Alphabet())
    valid = select_split(table, "valid", "")
    fewer = table.select(np.arange(len(table.labels)) != int(np.argmax(table.frame["split"] == "train")))
    same = select_split(fewer._replace(digest="another table"), "valid", "")
    assert validation_digest(same) == validation_digest(valid)
    assert validation_digest(valid.select(np.arange(len(valid.labels)) > 0)) != validation_digest(valid)


def test_weights_are_the_same_on_every_run(trained, demo_table, folder):
    torch.manual_seed(17)
    again = train_and_package(train_config(demo_table, folder))
    first, second = (safetensors.torch.load_file(each.bundle / "model.safetensors") for each in (trained, again))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
