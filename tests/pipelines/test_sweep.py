"""Searches by Optuna: what is tried, pruned, recorded, and going on after a kill."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import mlflow
import optuna
import pandas as pd
import pytest

from tests.conftest import SMALL
from tests.test_config import composed
from tfclass.config import CorpusConfig, RuntimeConfig, TrackingConfig, TrainingConfig
from tfclass.errors import CheckpointError, ConfigError
from tfclass.pipelines.search import DistributionConfig, StudyConfig, SweepConfig, read_space, suggest
from tfclass.pipelines.sweep import run_sweep
from tfclass.training.trainer import Hooks, Interrupted

OFF = TrackingConfig(enabled=False)
SPACE = {
    "training": {"learning_rate": {"low": 0.0005, "high": 0.05, "log": True}},
    "model": {"hidden": {"choices": [4, 6]}, "layers": {"low": 1, "high": 2}, "dropout": {"low": 0.0, "high": 0.5}},
}
STUDY = StudyConfig(n_trials=6, startup_trials=2, warmup_epochs=0, space=SPACE)


def config(table, folder, **changes):
    options = {
        "corpus": CorpusConfig(path=str(table), name="demo"),
        "model": SMALL,
        "training": TrainingConfig(epochs=3, max_residues=4096),
        "tracking": OFF,
        "runtime": RuntimeConfig(device="cpu", threads=1),
        "study": STUDY,
        "run_dir": str(folder / "sweep"),
    }
    return SweepConfig(**(options | changes))


def without_times(swept):
    return swept.trials.sort_values("trial", ignore_index=True)


@pytest.mark.parametrize("study", ["default", "demo"])
def test_every_study_that_ships_names_options_that_a_training_has(study):
    shipped = composed("sweep", SweepConfig, f"study={study}", "corpus.path=x.tsv")
    assert "training.learning_rate" in read_space(shipped.study.space)


def test_a_sweep_that_was_interrupted_makes_the_trials_of_one_that_was_not(demo_table, folder):
    whole = run_sweep(config(demo_table, folder, run_dir=str(folder / "whole")))
    assert whole.trials["state"].isin(["complete", "pruned"]).all()
    assert (whole.trials["state"] == "pruned").any()
    assert (whole.trials.loc[whole.trials["state"] == "pruned", "epochs"] < 3).all()
    complete = whole.trials[whole.trials["state"] == "complete"]
    assert whole.trials["valid_ap"][0] == complete["valid_ap"].max()
    assert whole.best == complete.iloc[0][list(read_space(SPACE))].to_dict()

    class StopAfter:
        def __init__(self, steps):
            self.steps = steps

        def __call__(self):
            self.steps -= 1
            return self.steps == 0

    interruptions = 0
    for steps in (5, 9, 13, 10**9):
        stop = StopAfter(steps)
        try:
            again = run_sweep(config(demo_table, folder), lambda _, stop=stop: Hooks(should_stop=stop))
        except Interrupted:
            interruptions += 1
    assert interruptions == 3
    pd.testing.assert_frame_equal(without_times(again), without_times(whole))
    written = pd.read_csv(folder / "sweep" / "trials.tsv", sep="\t")
    assert written["trial"].tolist() == again.trials["trial"].tolist()
    assert not list((folder / "sweep").rglob("checkpoint.pt"))


def test_a_killed_process_leaves_a_trial_that_the_next_one_finishes(demo_table, folder):
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom tests.pipelines.test_sweep import *\n"
        "def kill(entry):\n"
        "    if entry['epoch'] == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
        "run_sweep(config(sys.argv[1], Path.cwd()), lambda _: Hooks(on_epoch=kill))"
    )
    command = [sys.executable, "-c", code, str(demo_table)]
    root = pytest.importorskip("tests").__path__[0] + "/.."
    assert subprocess.run(command, cwd=folder, env={"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}).returncode == -9
    titles, epochs = [], []

    def hooks_of(title):
        titles.append(title.split(":")[0])
        return Hooks(on_epoch=lambda entry: epochs.append((titles[-1], entry["epoch"])))

    swept = run_sweep(config(demo_table, folder), hooks_of)
    assert titles == [f"trial {number}" for number in range(6)]
    assert epochs[0] == ("trial 0", 2.0)
    assert set(swept.trials["state"]) <= {"complete", "pruned"}
    # A longer sweep goes on from there.
    longer = run_sweep(config(demo_table, folder, study=replace(STUDY, n_trials=7)))
    assert sorted(longer.trials["trial"]) == list(range(7))


def test_what_optuna_and_mlflow_keep_is_what_was_returned(demo_table, folder):
    tracking = TrackingConfig(uri=f"sqlite:///{folder}/mlflow.db", experiment="sweep", system_seconds=0)
    swept = run_sweep(config(demo_table, folder, tracking=tracking))
    study = optuna.load_study(study_name="study", storage=f"sqlite:///{folder}/sweep/study.db")
    assert study.best_params == swept.best
    assert [trial.state.name.lower() for trial in study.trials] == without_times(swept)["state"].tolist()
    client = mlflow.MlflowClient(tracking.uri)
    runs = client.search_runs([client.get_experiment_by_name("sweep").experiment_id])  # type: ignore[union-attr]
    (parent,) = (run for run in runs if run.data.tags["job"] == "sweep")
    trials = sorted((run for run in runs if run.data.tags["job"] == "train"), key=lambda run: run.info.start_time)
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} == {parent.info.run_id}
    ended = {"complete": "FINISHED", "pruned": "KILLED"}
    assert [run.info.status for run in trials] == [ended[state] for state in without_times(swept)["state"]]
    assert [float(run.data.params["training.learning_rate"]) for run in trials] == pytest.approx(
        without_times(swept)["training.learning_rate"].tolist()
    )
    assert parent.data.metrics["best_valid_ap"] == pytest.approx(study.best_value)
    assert client.search_registered_models() == []


def test_options_that_cannot_be_trained_with_do_not_end_the_sweep(demo_table, folder):
    space = {"training": {"learning_rate": {"choices": [1e30, 1e-3]}}}
    study = replace(STUDY, space=space, n_trials=4, sampler="random", pruner="none")
    swept = run_sweep(config(demo_table, folder, study=study))
    failed = swept.trials["training.learning_rate"] == 1e30
    assert swept.trials.loc[failed, "state"].eq("fail").all()
    assert swept.trials.loc[~failed, "state"].eq("complete").all()
    assert failed.nunique() == 2


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"training": {"lr": {"low": 1, "high": 2}}}, "study.space.training.lr: found an unknown key; expected one of"),
        ({"model": {"hidden": {"low": 0, "high": 2}}}, "study.space.model.hidden: found 0; expected greater than"),
        ({"model": {"hidden": {"low": 3, "high": 2}}}, "study.space.model.hidden: found low 3, high 2; expected low "),
        ({"model": {"hidden": {"low": 3}}}, "study.space.model.hidden: found no range; expected low and high, or"),
        ({"model": {"hidden": {"choices": []}}}, "study.space.model.hidden: found choices that are empty"),
        ({"model": {"hidden": {"lowest": 3}}}, "study.space.model.hidden.lowest: found 3; expected low and"),
        ({"model": {"hidden": {"low": "a", "high": 3}}}, "study.space.model.hidden.low: found 'a'; expected a valid"),
        ({"model": {"hidden": 64}}, "study.space.model.hidden: found 64; expected low and high, or choices"),
        ({"model": {"pooling": {"choices": ["max", "bogus"]}}}, "model.pooling: found 'bogus'; expected one of"),
        ({"model": {"dropout": {"low": 0.1, "high": 1.5}}}, "study.space.model.dropout: found 1.5; expected less than"),
        ({"model": {"dropout": {"low": 0.1, "high": 0.2, "step": 0}}}, "study.space.model.dropout: found step 0"),
        ({"model": {"dropout": {"low": float("nan"), "high": 0.2}}}, "study.space.model.dropout: found low nan"),
    ],
    ids=[
        *("unknown option", "value", "range", "half a range", "no choices", "unknown key", "a word", "number"),
        *("last choice", "upper end", "no step", "no number"),
    ],
)
def test_a_space_that_cannot_be_searched_is_named_before_anything_starts(demo_table, folder, space, message):
    with pytest.raises(ConfigError) as caught:
        run_sweep(config(demo_table, folder, study=replace(STUDY, space=space)))
    assert str(caught.value).startswith(message)
    assert not (folder / "sweep").exists()


def test_a_step_between_whole_numbers_draws_no_whole_numbers():
    import optuna

    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask()
    halves = {suggest(trial, str(i), DistributionConfig(low=1, high=4, step=0.5)) for i in range(40)}
    assert halves == {1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0}


def test_a_trial_taken_up_again_before_it_had_drawn_draws_what_it_would_have(demo_table, folder):
    study = replace(STUDY, n_trials=1)
    undisturbed = run_sweep(config(demo_table, folder, study=study, run_dir=str(folder / "undisturbed")))
    again = config(demo_table, folder, study=study)
    place = Path(again.run_dir)
    place.mkdir()
    url = f"sqlite:///{place.resolve()}/study.db"
    optuna.create_study(study_name=study.name, storage=url, direction="maximize").ask()
    assert run_sweep(again).best == undisturbed.best


def test_a_folder_of_another_sweep_is_refused(demo_table, folder):
    run_sweep(config(demo_table, folder, study=replace(STUDY, n_trials=1)))
    with pytest.raises(ConfigError, match="a sweep with other training options; expected the same; choose another"):
        run_sweep(config(demo_table, folder, training=TrainingConfig(epochs=4)))


def test_a_folder_of_a_sweep_on_another_table_is_refused(demo_table, folder):
    table = folder / "t.tsv"
    table.write_bytes(demo_table.read_bytes())
    run_sweep(config(table, folder, study=replace(STUDY, n_trials=1)))
    pd.read_csv(table, sep="\t").iloc[1:].to_csv(table, sep="\t", index=False)
    with pytest.raises(ConfigError, match="a sweep with other corpus options; expected the same"):
        run_sweep(config(table, folder, study=replace(STUDY, n_trials=2)))


def test_a_folder_of_something_else_is_refused(demo_table, folder):
    other = config(demo_table, folder)
    Path(other.run_dir).mkdir()
    record = Path(other.run_dir) / "run.json"
    for content, found in (
        ('{"mlflow_run_id": "", "config": {"name": ""}}', "the folder of a training; expected a sweep's, or an empty"),
        ('{"mlflow_run_id": ""}', "no readable run.json"),
        ("[1]", "no readable run.json"),
        ("{", "no readable run.json"),
    ):
        record.write_text(content)
        with pytest.raises(CheckpointError, match=f"{other.run_dir}: found {found}"):
            run_sweep(other)
        assert record.read_text() == content
