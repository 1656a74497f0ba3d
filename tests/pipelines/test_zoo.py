"""Every network on one corpus: the table, what MLflow shows, and going on after an interruption."""

import json
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import torch

from tests.conftest import SMALL
from tests.test_config import composed
from tfclass.bundle.bundle import load_bundle
from tfclass.cli.console import print_zoo
from tfclass.config import (
    CorpusConfig,
    EvaluationConfig,
    RuntimeConfig,
    SkipgramConfig,
    TrackingConfig,
    TrainConfig,
    TrainingConfig,
    ZooConfig,
)
from tfclass.errors import CheckpointError, ConfigError, OutputError
from tfclass.models.factory import build
from tfclass.pipelines.train import train_and_package
from tfclass.pipelines.zoo import run_zoo
from tfclass.sequences.alphabet import Alphabet
from tfclass.training.trainer import Hooks, Interrupted

OFF = TrackingConfig(enabled=False)
MODELS = {"bilstm": SMALL, "kmers": replace(SMALL, encoder="gru", embedding="skipgram", kmer=2)}


def config(table, folder, **changes):
    options = {
        "corpus": CorpusConfig(path=str(table), name="demo"),
        "models": MODELS,
        "training": TrainingConfig(epochs=2, max_residues=2048, skipgram=SkipgramConfig(pairs=5000)),
        "evaluation": EvaluationConfig(n_bootstrap=10, baselines=False),
        "tracking": OFF,
        "runtime": RuntimeConfig(device="cpu", threads=1),
        "run_dir": str(folder / "zoo"),
    }
    return ZooConfig(**(options | changes))


def test_the_shipped_zoo_has_every_network_that_has_a_file_and_a_limit_on_time():
    shipped = composed("zoo", ZooConfig)
    files = {path.stem for path in (Path(__file__).parents[2] / "conf" / "model").glob("*.yaml")}
    assert set(shipped.models) == files
    assert shipped.training.minutes is not None
    for model in shipped.models.values():
        build(model, Alphabet(), 2)


def test_the_table_is_what_bundles_and_reports_say_and_mlflow_has_a_family_of_runs(demo_table, folder):
    uri = f"sqlite:///{folder}/mlflow.db"
    zoo = config(demo_table, folder, tracking=TrackingConfig(uri=uri, experiment="zoo"))
    table = run_zoo(zoo)
    assert set(table["network"]) == set(MODELS)
    assert table["valid_ap"].is_monotonic_decreasing
    written = pd.read_csv(folder / "zoo" / "zoo.tsv", sep="\t")
    assert written["network"].tolist() == table["network"].tolist()
    for row in table.to_dict("records"):
        report = json.loads((folder / "zoo" / row["network"] / "report" / "report.json").read_text())
        assert row["test_ap"] == report["metrics"]["average_precision"]["value"]
        assert row["prevalence"] == report["prevalence"]
        bundle = load_bundle(folder / "zoo" / row["network"] / "bundle")
        assert row["weights"] == sum(p.numel() for p in bundle.model.parameters())
        assert row["epochs"] == pytest.approx(2.0)
    client = mlflow.MlflowClient(uri)
    runs = client.search_runs([client.get_experiment_by_name("zoo").experiment_id])  # type: ignore[union-attr]
    by_job = {job: [run for run in runs if run.data.tags["job"] == job] for job in ("zoo", "train", "evaluate")}
    assert [len(by_job[job]) for job in ("zoo", "train", "evaluate")] == [1, 2, 2]
    parent = by_job["zoo"][0]
    assert {run.data.tags["mlflow.parentRunId"] for run in by_job["train"]} == {parent.info.run_id}
    trained = {run.info.run_id for run in by_job["train"]}
    assert {run.data.tags["mlflow.parentRunId"] for run in by_job["evaluate"]} == trained
    row = table.iloc[0]
    assert parent.data.metrics[f"{row['network']}/test_ap"] == pytest.approx(row["test_ap"])


def test_what_was_interrupted_goes_on_and_what_is_finished_stays(demo_table, folder):
    undisturbed = run_zoo(config(demo_table, folder, run_dir=str(folder / "undisturbed")))
    steps = []

    def hooks_of(name):
        on_step = lambda *step: steps.append(name)  # noqa: E731
        return Hooks(on_step=on_step, should_stop=lambda: steps.count("kmers") == 3)

    with pytest.raises(Interrupted):
        run_zoo(config(demo_table, folder), hooks_of)
    n_bilstm = steps.count("bilstm")
    again = run_zoo(config(demo_table, folder), lambda name: hooks_of(name)._replace(should_stop=lambda: False))
    assert steps.count("bilstm") == n_bilstm > 0
    scores = ["network", "weights", "epochs", "valid_ap", "test_ap", "test_mcc"]
    pd.testing.assert_frame_equal(again[scores], undisturbed[scores])


def test_a_folder_of_another_zoo_is_refused(demo_table, folder):
    run_zoo(config(demo_table, folder, models={"bilstm": SMALL}))
    other = config(demo_table, folder, models={"bilstm": replace(SMALL, hidden=5)})
    with pytest.raises(
        ConfigError, match="trained with other model options; expected the same; choose another run_dir"
    ):
        run_zoo(other)


def test_a_folder_of_a_training_is_refused_and_a_zoos_is_no_trainings(demo_table, folder):
    zoo = config(demo_table, folder, models={"bilstm": SMALL})
    run_zoo(zoo)
    place = Path(zoo.run_dir)
    record = (place / "bilstm" / "run.json").read_bytes()
    with pytest.raises(CheckpointError, match="found the folder of a training; expected a zoo's, or an empty one"):
        run_zoo(replace(zoo, run_dir=str(place / "bilstm")))
    assert (place / "bilstm" / "run.json").read_bytes() == record
    own = {key: getattr(zoo, key) for key in ("corpus", "training", "tracking", "runtime", "run_dir")}
    with pytest.raises(CheckpointError, match="found the folder of a zoo; expected a training's, or an empty one"):
        train_and_package(TrainConfig(model=SMALL, **own))


def test_an_address_with_a_password_is_not_recorded(demo_table, folder):
    down = TrackingConfig(uri="http://me:secret@127.0.0.1:9", timeout=1)
    zoo = config(demo_table, folder, models={"bilstm": SMALL}, tracking=down)
    run_zoo(zoo)
    journal = Path(zoo.run_dir) / "mlflow-journal" / "journal.jsonl"
    assert "config.yaml" in journal.read_text()
    assert "secret" not in journal.read_text() + (Path(zoo.run_dir) / "run.json").read_text()


def test_what_is_finished_stays_only_for_the_same_table_and_evaluation(demo_table, folder):
    table = folder / "t.tsv"
    frame = pd.read_csv(demo_table, sep="\t")
    frame.to_csv(table, sep="\t", index=False)
    one = {"models": {"bilstm": SMALL}}
    on_test = run_zoo(config(table, folder, **one))
    valid = EvaluationConfig(n_bootstrap=10, baselines=False, split="valid")
    on_valid = run_zoo(config(table, folder, evaluation=valid, **one))
    assert on_valid["valid_ap"].item() == on_test["valid_ap"].item()
    assert on_valid["test_ap"].item() != on_test["test_ap"].item()
    frame.iloc[1:].to_csv(table, sep="\t", index=False)
    with pytest.raises(ConfigError, match="trained on another table; expected the same; choose another run_dir"):
        run_zoo(config(table, folder, **one))


def test_a_test_split_of_one_class_leaves_its_scores_open(demo_table, folder):
    frame = pd.read_csv(demo_table, sep="\t")
    table = folder / "t.tsv"
    frame[(frame["split"] != "test") | (frame["label"] != "TF")].to_csv(table, sep="\t", index=False)
    row = run_zoo(
        config(table, folder, models={"bilstm": SMALL}, tracking=TrackingConfig(uri=f"sqlite:///{folder}/mlflow.db"))
    ).iloc[0]
    assert pd.isna(row["test_ap"])
    print_zoo(pd.DataFrame([row]), "demo", "test")


def test_kmers_are_learned_ahead_of_the_training_where_the_model_says_so(demo_table, folder):
    # Next to no learning rate: the training itself leaves them as they are.
    still = TrainingConfig(epochs=1, max_residues=2048, learning_rate=1e-12, skipgram=SkipgramConfig(pairs=5000))
    weights = {}
    for embedding in ("skipgram", "learned"):
        models = {"kmers": replace(MODELS["kmers"], embedding=embedding)}
        run_zoo(config(demo_table, folder, models=models, training=still, run_dir=str(folder / embedding)))
        weights[embedding] = load_bundle(folder / embedding / "kmers" / "bundle").model.embedding.weight
    assert weights["skipgram"].shape == weights["learned"].shape
    assert not torch.allclose(weights["skipgram"], weights["learned"], atol=0.05)


def test_kmers_are_learned_from_the_training_split_alone(demo_table, folder):
    frame = pd.read_csv(demo_table, sep="\t")
    test = frame["split"] == "test"
    frame.loc[test, "sequence"] = frame.loc[test, "sequence"].str[::-1]
    frame.to_csv(folder / "other.tsv", sep="\t", index=False)
    weights = []
    for name, path in (("a", demo_table), ("b", folder / "other.tsv")):
        run_zoo(config(path, folder, models={"kmers": MODELS["kmers"]}, run_dir=str(folder / name)))
        weights.append((folder / name / "kmers" / "bundle" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_an_edited_report_is_written_again(demo_table, folder):
    zoo = config(demo_table, folder, models={"bilstm": SMALL})
    before = run_zoo(zoo)
    path = folder / "zoo" / "bilstm" / "report" / "report.json"
    content = json.loads(path.read_text())
    for metrics in ([], {}):
        path.write_text(json.dumps(content | {"metrics": metrics}))
        after = run_zoo(zoo)
        pd.testing.assert_series_equal(after["test_ap"], before["test_ap"])
        assert json.loads(path.read_text())["metrics"] == content["metrics"]
    path.write_text("[" * 100_000)
    with pytest.raises(OutputError, match="found something there that has no report.json of tfclass"):
        run_zoo(zoo)
