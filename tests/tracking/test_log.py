"""Runs in MLflow, read back with its own client from a real SQLite store."""

import getpass
import json
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
from tfclass.tracking.connection import tracking_uri
from tfclass.tracking.log import track, tracked
from tfclass.tracking.record import Facts, Scores, dataset, flatten, read_record

ROOT = Path(__file__).parents[2]
FRAME = pd.DataFrame({"id": ["a", "b"], "sequence": ["MK", "MV"], "label": ["TF", "nonTF"], "cluster": ["a", "b"]})


@pytest.fixture
def config(folder):
    return TrackingConfig.default(experiment="tested")


def client():
    return mlflow.MlflowClient()


def training(config, facts=None, **options):
    """A run in the folder ``run``."""
    return tracked(config, Path("run"), "training", facts or Facts(), **options)


def wait_until(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise TimeoutError("it did not come")


def test_a_run_keeps_parameters_configuration_metrics_data_and_files(config, tmp_path):
    wide = {"model": {f"option{i}": i for i in range(250)}, "training": {"epochs": 3, "text": "x" * 5000}}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "note.txt").write_text("kept")
    data = dataset(FRAME, source="x.tsv", name="demo", context="training", digest="d" * 64)
    facts = Facts(tags={"corpus": "demo"}, config=wide, datasets=[data], files={"note.txt": "extra"})
    with tracked(config, tmp_path / "run", "first", facts) as run:
        run.log_step({"valid_ap": 0.5, "undefined": float("nan")}, step=1)
        run.log_step({"valid_ap": 0.75}, step=2)
        run.log(Facts(scores=[Scores({"mcc": 0.25})]))
    run_id = run.run_id
    run = client().get_run(run_id)
    assert run.info.run_name == "first"
    assert run.info.status == "FINISHED"
    assert run.data.tags["corpus"] == "demo"
    assert len(run.data.params) == 252
    assert run.data.params["model.option249"] == "249"
    assert yaml.safe_load(mlflow.artifacts.load_text(f"runs:/{run_id}/config.yaml")) == wide
    assert run.data.metrics == {"valid_ap": 0.75, "mcc": 0.25}
    assert [(m.step, m.value) for m in client().get_metric_history(run_id, "valid_ap")] == [(1, 0.5), (2, 0.75)]
    assert [json.loads(line)["valid_ap"] for line in (tmp_path / "run" / "history.jsonl").open()] == [0.5, 0.75]
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest, data.tags[0].value) == ("demo", "d" * 36, "training")
    files = {f.path for folder in ("", "figures", "extra") for f in client().list_artifacts(run_id, folder)}
    assert {"config.yaml", "extra/note.txt"} <= files


def test_store_and_artifacts_are_in_the_working_directory_under_absolute_paths(config, tmp_path):
    with training(config) as run:
        pass
    assert tracking_uri(config) == f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    assert (tmp_path / "mlflow.db").exists()
    assert client().get_run(run.run_id).info.artifact_uri.startswith(f"file://{tmp_path.resolve()}/mlartifacts/")


def test_an_evaluation_is_the_child_of_its_training_where_that_is_known(config):
    with training(config) as parent:
        pass
    with training(config, parent=parent.run_id) as child:
        pass
    with training(config, parent="0" * 32) as orphan:
        pass
    assert client().get_run(child.run_id).data.tags["mlflow.parentRunId"] == parent.run_id
    assert "mlflow.parentRunId" not in client().get_run(orphan.run_id).data.tags


def test_an_odd_key_takes_no_other_with_it(config):
    with training(config, Facts(config={"corpus": {"aliases": {"TF?": "TF"}}, "model": {"hidden": 4}})) as run:
        pass
    assert client().get_run(run.run_id).data.params == {"corpus.aliases.TF_": "TF", "model.hidden": "4"}


def test_a_resumed_training_goes_on_in_its_run(config):
    with training(config) as first:
        first.log_step({"valid_ap": 0.1}, step=1)
    with tracked(config, Path("run"), "ignored", Facts(), resume=True) as again:
        again.log_step({"valid_ap": 0.2}, step=2)
    assert again.run_id == first.run_id
    assert client().get_run(first.run_id).info.run_name == "training"
    assert len(client().get_metric_history(first.run_id, "valid_ap")) == 2


def test_a_run_says_who_made_it_from_what(config):
    with training(config, Facts(tags={"model": "bilstm"})) as run:
        pass
    tags = client().get_run(run.run_id).data.tags
    assert tags["mlflow.user"] == getpass.getuser()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    if (ROOT / ".git").exists() and head.returncode == 0:
        assert tags["mlflow.source.git.commit"] == head.stdout.strip()
        assert tags["git_commit"].startswith(head.stdout.strip()[:12])


def test_an_interrupted_run_is_killed_and_goes_on_as_running_to_its_end(config):
    seen = []

    def block(resume=False):
        with training(config, resume=resume) as run:
            seen.append(client().get_run(run.run_id).info)
            if not resume:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        block()
    seen.append(client().get_run(seen[0].run_id).info)
    block(resume=True)
    seen.append(client().get_run(seen[0].run_id).info)
    assert [info.status for info in seen] == ["RUNNING", "KILLED", "RUNNING", "FINISHED"]
    assert {info.run_id for info in seen} == {seen[0].run_id}
    assert seen[1].end_time <= seen[3].end_time


@pytest.mark.parametrize("named_by", ["environment", "configuration"])
def test_use_of_the_machine_is_recorded_while_the_block_runs(config, folder, named_by):
    uri = "" if named_by == "environment" else f"sqlite:///{folder}/other.db"
    watched, store = replace(config, system_seconds=0.2, uri=uri), mlflow.MlflowClient(uri or None)
    with training(watched, watch=True) as run:
        wait_until(lambda: "system/cpu_utilization_percentage" in store.get_run(run.run_id).data.metrics)
    assert store.get_run(run.run_id).info.status == "FINISHED"
    with training(config) as run:
        pass
    assert client().get_run(run.run_id).data.metrics == {}


def test_without_psutil_a_run_has_everything_else(config, monkeypatch, caplog):
    # As in an interpreter that has imported neither, where psutil cannot be imported.
    for name in [name for name in sys.modules if name.split(".")[:2] == ["mlflow", "system_metrics"]]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psutil", None)
    with training(replace(config, system_seconds=0.2), watch=True) as run:
        run.log_step({"a": 1.0}, 1)
    found = client().get_run(run.run_id)
    assert (found.data.metrics, found.info.status, caplog.messages) == ({"a": 1.0}, "FINISHED", [])


def test_the_callers_own_run_and_store_are_left_alone(config, tmp_path, small_bundle_folder):
    own, ours = f"sqlite:///{tmp_path}/mlflow.db", f"sqlite:///{tmp_path}/ours.db"
    shutil.copy(tmp_path / "mlflow.db", tmp_path / "ours.db")
    mlflow.set_tracking_uri(own)
    # Not by monkeypatch, which would put it back.
    del os.environ["MLFLOW_TRACKING_URI"]
    try:
        with mlflow.start_run() as outer:
            with training(replace(config, uri=ours)) as run:
                run.log(Facts(bundle=str(small_bundle_folder)))
            mlflow.log_metric("after", 1.0)
        assert mlflow.get_tracking_uri() == own
        assert "MLFLOW_TRACKING_URI" not in os.environ
        assert mlflow.get_run(outer.info.run_id).data.metrics == {"after": 1.0}
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    assert mlflow.MlflowClient(ours).get_run(run.run_id).info.status == "FINISHED"


def test_a_failed_block_leaves_a_failed_run_and_none_open(config):
    with pytest.raises(ValueError, match="broken"), training(config) as run:
        raise ValueError("broken")
    assert client().get_run(run.run_id).info.status == "FAILED"
    assert mlflow.active_run() is None


def test_the_logged_model_gives_the_predictors_rows(config, small_bundle_folder):
    with training(config, Facts(bundle=str(small_bundle_folder))) as run:
        pass
    experiment = client().get_run(run.run_id).info.experiment_id
    (logged,) = mlflow.search_logged_models([experiment], output_format="list")
    model = mlflow.pyfunc.load_model(logged.model_uri)
    frame = pd.DataFrame({"id": ["a", "b", "c"], "sequence": ["MKVLA*", "MK1", "mkvuuw"]})
    expected = Predictor.load(small_bundle_folder).predict(
        Record(*row) for row in zip(frame["id"], frame["id"], frame["sequence"], strict=True)
    )
    table = model.predict(frame)
    assert list(table.columns) == list(COLUMNS)
    assert list(table.astype(object).where(table.notna(), None).itertuples(index=False, name=None)) == [
        tuple(getattr(row, name) for name in COLUMNS) for row in expected
    ]
    files = {f.path for f in client().list_artifacts(run.run_id, "bundle")}
    assert files == {f"bundle/{name}" for name in ("bundle.json", "model.safetensors", "MODEL_CARD.md")}


def test_nothing_but_the_record_is_written_when_tracking_is_off_and_it_can_be_logged_later(folder):
    (folder / "mlflow.db").rename(folder / "later.db")
    with training(TrackingConfig.default(enabled=False), Facts(config={"a": 1}), watch=True) as run:
        run.log_step({"b": 1.0}, 1)
    assert sorted(path.name for path in folder.iterdir()) == ["later.db", "run"]
    (folder / "later.db").rename(folder / "mlflow.db")
    record, _ = track(folder / "run")
    data = client().get_run(record.run_id).data
    assert (data.params, data.metrics) == ({"a": "1"}, {"b": 1.0})


@pytest.mark.parametrize("uri", ["file:./mlruns", "mlruns", "file:///tmp/mlruns", "ftp://somewhere/mlruns"])
def test_a_folder_as_a_store_is_refused_with_the_uri_to_use(uri, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrackingError) as raised:
        tracking_uri(TrackingConfig.default(uri=uri))
    use = f"sqlite:///{tmp_path.resolve()}/mlflow.db"
    assert str(raised.value) == f"tracking.uri: {uri!r} is neither a database nor a server; use {use}"


def test_the_environment_variable_wins(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////elsewhere/m.db")
    assert tracking_uri(TrackingConfig.default(uri="sqlite:///here.db")) == "sqlite:////elsewhere/m.db"


def test_nested_values_become_dotted_keys():
    assert flatten({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None}) == {"a.b.c": 1, "a.d": [1, 2], "e": None}


def log(folder, name, steps):
    os.chdir(folder)
    with tracked(TrackingConfig.default(experiment="tested"), Path(name), name, Facts()) as run:
        for step in range(steps):
            run.log_step({"loss": step + float(name)}, step)


@pytest.mark.parametrize(("writers", "steps"), [(3, 1), pytest.param(6, 20, marks=pytest.mark.slow)])
def test_processes_that_meet_an_empty_folder_and_write_at_once_lose_nothing(
    writers, steps, tmp_path, monkeypatch, processes
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    names = [str(number) for number in range(writers)]
    started = [processes.Process(target=log, args=(tmp_path, name, steps)) for name in names]
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
    assert all(read_record(tmp_path / name).is_tracked for name in names)
