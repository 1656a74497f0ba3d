"""What MLflow keeps, read back with MLflow's own client from a real SQLite store."""

import getpass
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import yaml

from tfclass.config import TrackingConfig
from tfclass.errors import TrackingError
from tfclass.inference.predictor import Predictor
from tfclass.inference.rows import COLUMNS
from tfclass.sequences.fasta import Record
from tfclass.tracking.tracker import flatten, tracked, tracking_uri

ROOT = Path(__file__).parents[2]
FRAME = pd.DataFrame({"id": ["a", "b"], "sequence": ["MK", "MV"], "label": ["TF", "nonTF"], "cluster": ["a", "b"]})


@pytest.fixture
def config(folder):
    return TrackingConfig(experiment="tested")


def client():
    return mlflow.MlflowClient()


def wait_until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise TimeoutError("it did not come")


def test_a_run_keeps_parameters_configuration_metrics_data_and_files(config, tmp_path):
    wide = {"model": {f"option{i}": i for i in range(250)}, "training": {"epochs": 3, "text": "x" * 5000}}
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "note.txt").write_text("kept")
    with tracked(config, "first", {"corpus": "demo"}) as tracker:
        tracker.configuration(wide)
        tracker.dataset(FRAME, source="x.tsv", name="demo", context="training", digest="d" * 64)
        tracker.metrics({"valid_ap": 0.5, "undefined": float("nan")}, step=1)
        tracker.metrics({"valid_ap": 0.75}, step=2)
        tracker.folder(tmp_path / "files", "extra")
    run = client().get_run(tracker.run_id)
    assert run.info.run_name == "first"
    assert run.info.status == "FINISHED"
    assert run.data.tags["corpus"] == "demo"
    assert len(run.data.params) == 252
    assert run.data.params["model.option249"] == "249"
    assert yaml.safe_load(mlflow.artifacts.load_text(f"runs:/{tracker.run_id}/config.yaml")) == wide
    assert run.data.metrics == {"valid_ap": 0.75}
    assert [(m.step, m.value) for m in client().get_metric_history(tracker.run_id, "valid_ap")] == [(1, 0.5), (2, 0.75)]
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest, data.tags[0].value) == ("demo", "d" * 36, "training")
    files = {f.path for folder in ("", "figures", "extra") for f in client().list_artifacts(tracker.run_id, folder)}
    assert {"config.yaml", "extra/note.txt"} <= files


def test_store_and_artifacts_are_in_the_working_directory_under_absolute_paths(config, tmp_path):
    with tracked(config, "first", {}) as tracker:
        pass
    assert tracking_uri(config) == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    assert (tmp_path / "mlflow.db").exists()
    assert client().get_run(tracker.run_id).info.artifact_uri.startswith(f"file://{tmp_path.resolve()}/mlartifacts/")


def test_an_evaluation_is_the_child_of_its_training_where_that_is_known(config):
    with tracked(config, "training", {}) as parent:
        pass
    with tracked(config, "evaluation", {}, parent=parent.run_id) as child:
        pass
    with tracked(config, "elsewhere", {}, parent="0" * 32) as orphan:
        pass
    assert client().get_run(child.run_id).data.tags["mlflow.parentRunId"] == parent.run_id
    assert "mlflow.parentRunId" not in client().get_run(orphan.run_id).data.tags


def test_an_odd_key_takes_no_other_with_it(config):
    with tracked(config, "odd", {}) as tracker:
        tracker.configuration({"corpus": {"aliases": {"TF?": "TF"}}, "model": {"hidden": 4}})
    assert client().get_run(tracker.run_id).data.params == {"corpus.aliases.TF_": "TF", "model.hidden": "4"}


def test_a_resumed_training_goes_on_in_its_run(config):
    with tracked(config, "training", {}) as first:
        first.metrics({"valid_ap": 0.1}, step=1)
    with tracked(config, "ignored", {}, resume=first.run_id) as again:
        again.metrics({"valid_ap": 0.2}, step=2)
    assert again.run_id == first.run_id
    assert client().get_run(first.run_id).info.run_name == "training"
    assert len(client().get_metric_history(first.run_id, "valid_ap")) == 2


def test_a_run_says_who_made_it_from_what(config):
    with tracked(config, "training", {"model": "bilstm"}) as tracker:
        pass
    tags = client().get_run(tracker.run_id).data.tags
    assert tags["mlflow.user"] == getpass.getuser()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    if (ROOT / ".git").exists() and head.returncode == 0:
        assert tags["mlflow.source.git.commit"] == head.stdout.strip()
        assert tags["git_commit"].startswith(head.stdout.strip()[:12])


def test_an_interrupted_run_is_killed_and_goes_on_as_running_to_its_end(config):
    seen = []

    def block(**options):
        with tracked(config, "training", {}, **options) as tracker:
            seen.append(client().get_run(tracker.run_id).info)
            if not options:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block()
    seen.append(client().get_run(seen[0].run_id).info)
    block(resume=seen[0].run_id)
    seen.append(client().get_run(seen[0].run_id).info)
    assert [info.status for info in seen] == ["RUNNING", "KILLED", "RUNNING", "FINISHED"]
    assert {info.run_id for info in seen} == {seen[0].run_id}
    assert seen[1].end_time <= seen[3].end_time


@pytest.mark.parametrize("named_by", ["environment", "configuration"])
def test_use_of_the_machine_is_recorded_while_the_block_runs(config, folder, named_by):
    uri = "" if named_by == "environment" else f"sqlite:///{folder}/other.db"
    watched, store = replace(config, system_seconds=0.2, uri=uri), mlflow.MlflowClient(uri or None)
    with tracked(watched, "training", {}, watch=True) as tracker:
        wait_until(lambda: "system/cpu_utilization_percentage" in store.get_run(tracker.run_id).data.metrics)
    assert store.get_run(tracker.run_id).info.status == "FINISHED"
    with tracked(config, "evaluation", {}) as tracker:
        pass
    assert client().get_run(tracker.run_id).data.metrics == {}


def test_without_psutil_a_run_has_everything_else(config, tmp_path):
    # A module that cannot be imported, ahead of the real one.
    (tmp_path / "psutil.py").write_text("raise ImportError('no psutil here')")
    code = (
        "from tfclass.tracking.tracker import *\n"
        "with tracked(TrackingConfig(experiment='tested'), 'training', {}, watch=True) as tracker:\n"
        "    tracker.metrics({'a': 1.0})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    (run,) = client().search_runs([client().get_experiment_by_name("tested").experiment_id])  # type: ignore[union-attr]
    assert (run.data.metrics, run.info.status) == ({"a": 1.0}, "FINISHED")


def test_the_callers_own_run_and_store_are_left_alone(config, tmp_path, small_bundle_folder):
    own, ours = f"sqlite:///{tmp_path}/mlflow.db", f"sqlite:///{tmp_path}/ours.db"
    shutil.copy(tmp_path / "mlflow.db", tmp_path / "ours.db")
    mlflow.set_tracking_uri(own)
    # Not by monkeypatch, which would put it back.
    del os.environ["MLFLOW_TRACKING_URI"]
    try:
        with mlflow.start_run() as outer:
            with tracked(replace(config, uri=ours), "training", {}) as tracker:
                tracker.model(small_bundle_folder)
            mlflow.log_metric("after", 1.0)
        assert mlflow.get_tracking_uri() == own
        assert "MLFLOW_TRACKING_URI" not in os.environ
        assert mlflow.get_run(outer.info.run_id).data.metrics == {"after": 1.0}
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    assert mlflow.MlflowClient(ours).get_run(tracker.run_id).info.status == "FINISHED"


def test_a_failed_block_leaves_a_failed_run_and_none_open(config):
    with pytest.raises(ValueError, match="broken"), tracked(config, "training", {}) as tracker:
        raise ValueError("broken")
    assert client().get_run(tracker.run_id).info.status == "FAILED"
    assert mlflow.active_run() is None


def test_the_logged_model_gives_the_predictors_rows(config, small_bundle_folder):
    with tracked(config, "training", {}) as tracker:
        tracker.model(small_bundle_folder)
    experiment = client().get_run(tracker.run_id).info.experiment_id
    (logged,) = mlflow.search_logged_models([experiment], output_format="list")
    model = mlflow.pyfunc.load_model(logged.model_uri)
    frame = pd.DataFrame({"id": ["a", "b", "c"], "sequence": ["MKVLA*", "MK1", "mkvuuw"]})
    expected = Predictor.load(small_bundle_folder).predict(
        Record(*row) for row in zip(frame["id"], frame["id"], frame["sequence"], strict=True)
    )
    table = model.predict(frame)
    assert tuple(table.columns) == COLUMNS
    assert list(table.astype(object).where(table.notna(), None).itertuples(index=False, name=None)) == [
        tuple(getattr(row, name) for name in COLUMNS) for row in expected
    ]
    files = {f.path for f in client().list_artifacts(tracker.run_id, "bundle")}
    assert files == {f"bundle/{name}" for name in ("bundle.json", "model.safetensors", "MODEL_CARD.md")}


def test_nothing_is_written_when_tracking_is_off(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with tracked(TrackingConfig(enabled=False), "training", {}) as tracker:
        tracker.configuration({"a": 1})
        tracker.metrics({"a": 1.0})
        tracker.model(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("uri", ["file:./mlruns", "mlruns", "file:///tmp/mlruns", "ftp://somewhere/mlruns"])
def test_a_folder_as_a_store_is_refused_with_the_uri_to_use(uri, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrackingError) as raised:
        tracking_uri(TrackingConfig(uri=uri))
    expected = (
        f"tracking.uri: found {uri!r}; expected a database or a server; use sqlite:///{tmp_path.resolve()}/mlflow.db"
    )
    assert str(raised.value) == expected


def test_the_environment_variable_wins(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////elsewhere/m.db")
    assert tracking_uri(TrackingConfig(uri="sqlite:///here.db")) == "sqlite:////elsewhere/m.db"


def test_nested_values_become_dotted_keys():
    assert flatten({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None}) == {"a.b.c": 1, "a.d": [1, 2], "e": None}


def record(folder, name, steps, journalled):
    os.chdir(folder)
    with tracked(TrackingConfig(experiment="tested"), name, {}, journal=Path(name) if journalled else None) as tracker:
        for step in range(steps):
            tracker.metrics({"loss": step + float(name)}, step=step)


@pytest.mark.parametrize(("writers", "steps", "journalled"), [(3, 1, False), (8, 50, True)])
def test_processes_that_meet_an_empty_folder_and_write_at_once_lose_nothing(
    writers, steps, journalled, tmp_path, monkeypatch, processes
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    names = [str(number) for number in range(writers)]
    started = [processes.Process(target=record, args=(tmp_path, name, steps, journalled)) for name in names]
    for process in started:
        process.start()
    for process in started:
        process.join(timeout=300)
    assert [process.exitcode for process in started] == [0] * writers
    store = mlflow.MlflowClient(f"sqlite:///{tmp_path.resolve()}/mlflow.db")
    runs = store.search_runs([store.get_experiment_by_name("tested").experiment_id])  # type: ignore[union-attr]
    assert sorted(run.info.run_name for run in runs) == names
    for run in runs:
        history = store.get_metric_history(run.info.run_id, "loss")
        expected = [(step, step + float(run.info.run_name)) for step in range(steps)]
        assert [(m.step, m.value) for m in history] == expected
    assert not list(tmp_path.glob("*/mlflow-journal"))
