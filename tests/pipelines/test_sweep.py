"""Searches by Optuna: what is tried, pruned, recorded, and going on after a kill."""

import contextlib
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import mlflow
import optuna
import pandas as pd
import pytest

from tests.conftest import SMALL
from tests.test_config import composed
from tfclass.config import CorpusConfig, RuntimeConfig, StudyConfig, SweepConfig, TrackingConfig, TrainingConfig
from tfclass.errors import CheckpointError, ConfigError
from tfclass.pipelines.sweep import run_sweep
from tfclass.training.trainer import Callbacks, Interrupted

OFF = TrackingConfig.default(enabled=False)
SPACE = {
    "training": {"learning_rate": {"low": 0.0005, "high": 0.05, "log": True}},
    "model": {"hidden": {"choices": [4, 6]}, "layers": {"low": 1, "high": 2}, "dropout": {"low": 0.0, "high": 0.5}},
}
SEARCHED = ["training.learning_rate", "model.hidden", "model.layers", "model.dropout"]
STUDY = StudyConfig.default(n_trials=6, startup_trials=2, warmup_epochs=0, heartbeat_seconds=1, space=SPACE)


def config(table, folder, **changes):
    options = {
        "corpus": CorpusConfig.default(path=str(table), name="demo"),
        "model": SMALL,
        "training": TrainingConfig.default(epochs=3, max_residues=4096),
        "tracking": OFF,
        "runtime": RuntimeConfig.default(device="cpu", threads=1),
        "study": STUDY,
        "run_dir": str(folder / "sweep"),
    }
    return SweepConfig.default(**(options | changes))


def without_times(swept):
    return swept.trials.sort_values("trial", ignore_index=True)


@pytest.mark.parametrize("study", ["default", "demo"])
def test_every_study_that_ships_can_be_composed(study):
    shipped = composed("sweep", SweepConfig, f"study={study}", "corpus.path=x.tsv")
    assert "learning_rate" in shipped.study.space["training"]


@pytest.mark.slow
def test_a_sweep_that_was_interrupted_makes_the_trials_of_one_that_was_not(demo_table, folder):
    whole = run_sweep(config(demo_table, folder, run_dir=str(folder / "whole")))
    assert whole.trials["state"].isin(["complete", "pruned"]).all()
    assert (whole.trials["state"] == "pruned").any()
    assert (whole.trials.loc[whole.trials["state"] == "pruned", "epochs"] < 3).all()
    complete = whole.trials[whole.trials["state"] == "complete"]
    assert whole.trials["valid_ap"][0] == complete["valid_ap"].max()
    assert whole.best == complete.iloc[0][SEARCHED].to_dict()

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
            again = run_sweep(config(demo_table, folder), lambda _, stop=stop: Callbacks(should_stop=stop))
        except Interrupted:
            interruptions += 1
    assert interruptions == 3
    pd.testing.assert_frame_equal(without_times(again), without_times(whole))
    written = pd.read_csv(folder / "sweep" / "trials.tsv", sep="\t")
    assert written["trial"].tolist() == again.trials["trial"].tolist()
    assert not list((folder / "sweep").rglob("checkpoint.pt"))


def _killed_after_an_epoch(table, folder):
    def kill(entry):
        if entry["epoch"] == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    run_sweep(config(table, folder), lambda _: Callbacks(on_epoch=kill))


@pytest.mark.slow
def test_a_killed_process_leaves_a_trial_that_the_next_one_finishes(demo_table, folder, processes):
    process = processes.Process(target=_killed_after_an_epoch, args=(demo_table, folder))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    # Longer than two heartbeats: the trial counts as abandoned.
    time.sleep(3)
    titles, epochs = [], []

    def callbacks_of(title):
        titles.append(title.split(":")[0])
        return Callbacks(on_epoch=lambda entry: epochs.append((titles[-1], entry["epoch"])))

    swept = run_sweep(config(demo_table, folder), callbacks_of)
    assert titles == [f"trial {number}" for number in range(6)]
    assert epochs[0] == ("trial 0", 2.0)
    assert set(swept.trials["state"]) <= {"complete", "pruned"}
    # A longer sweep goes on from there.
    longer = run_sweep(config(demo_table, folder, study=replace(STUDY, n_trials=7)))
    assert sorted(longer.trials["trial"]) == list(range(7))


def test_what_optuna_and_mlflow_keep_is_what_was_returned(demo_table, folder):
    tracking = TrackingConfig.default(uri=f"sqlite:///{folder}/mlflow.db", experiment="sweep", system_seconds=0)
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
        ({"training": {"lr": {"low": 1, "high": 2}}}, "study.space.training.lr: unknown option; expected one of"),
        ({"model": {"hidden": {"low": 0, "high": 2}}}, "study.space.model.hidden: found 0; expected greater than"),
        ({"model": {"hidden": {"low": 3, "high": 2}}}, "study.space.model.hidden: "),
        ({"model": {"hidden": {"low": 3}}}, "study.space.model.hidden: "),
        ({"model": {"hidden": {"choices": []}}}, "study.space.model.hidden: "),
        ({"model": {"hidden": {"lowest": 3}}}, "study.space.model.hidden.lowest: found 3; expected low and"),
        ({"model": {"hidden": {"low": "a", "high": 3}}}, "study.space.model.hidden: "),
        ({"model": {"hidden": 64}}, "study.space.model.hidden: found 64; expected low and high, or choices"),
        ({"model": {"pooling": {"choices": ["max", "bogus"]}}}, "model.pooling: found 'bogus'; expected one of"),
        ({"model": {"dropout": {"low": 0.1, "high": 1.5}}}, "study.space.model.dropout: found 1.5; expected less than"),
        ({"model": {"dropout": {"low": 0.1, "high": 0.2, "step": 0}}}, "study.space.model.dropout: "),
        ({"model": {"dropout": {"low": float("nan"), "high": 0.2}}}, "study.space.model.dropout: "),
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


def test_a_step_between_whole_numbers_draws_no_whole_numbers(demo_table, folder):
    space = {"training": {"weight_decay": {"low": 1, "high": 4, "step": 1.5}}}
    study = replace(STUDY, space=space, n_trials=5, sampler="random", pruner="none")
    swept = run_sweep(
        config(demo_table, folder, study=study, training=TrainingConfig.default(epochs=1, max_residues=4096))
    )
    assert 2.5 in set(swept.trials["training.weight_decay"]) <= {1.0, 2.5, 4.0}


def _tell_titles(table, folder, sender):
    run_sweep(config(table, folder), lambda title: sender.send(title) or Callbacks())


def test_two_processes_share_the_trials_of_one_study(demo_table, folder, processes):
    pipes = [processes.Pipe(duplex=False) for _ in range(2)]
    workers = [processes.Process(target=_tell_titles, args=(demo_table, folder, sender)) for _, sender in pipes]
    for worker, (_, sender) in zip(workers, pipes, strict=True):
        worker.start()
        sender.close()
    trained = [[], []]
    for titles, (receiver, _) in zip(trained, pipes, strict=True):
        with contextlib.suppress(EOFError):
            while True:
                titles.append(receiver.recv())
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    # Both of them, each trial once; and each draws values of its own.
    assert all(trained)
    titles = [title for lines in trained for title in lines]
    assert {title.split(":")[0] for title in titles} >= {f"trial {number}" for number in range(6)}
    assert len({title.split(":")[1] for title in titles}) == len(titles) <= 7
    swept = run_sweep(config(demo_table, folder))
    assert set(swept.trials["state"]) <= {"complete", "pruned"}


def test_a_folder_of_another_sweep_is_refused(demo_table, folder):
    run_sweep(config(demo_table, folder, study=replace(STUDY, n_trials=1)))
    with pytest.raises(ConfigError, match="a sweep with other training options; choose another run_dir"):
        run_sweep(config(demo_table, folder, training=TrainingConfig.default(epochs=4)))


def test_a_folder_of_a_sweep_on_another_table_is_refused(demo_table, folder):
    table = folder / "t.tsv"
    table.write_bytes(demo_table.read_bytes())
    run_sweep(config(table, folder, study=replace(STUDY, n_trials=1)))
    pd.read_csv(table, sep="\t").iloc[1:].to_csv(table, sep="\t", index=False)
    with pytest.raises(ConfigError, match="a sweep with other corpus options; choose another"):
        run_sweep(config(table, folder, study=replace(STUDY, n_trials=2)))


def test_the_folder_of_a_training_is_refused(demo_table, folder):
    other = config(demo_table, folder)
    Path(other.run_dir).mkdir()
    (Path(other.run_dir) / "run.json").write_text("{}")
    with pytest.raises(
        CheckpointError, match=f"{other.run_dir}: found the folder of a training; expected a sweep's; choose"
    ):
        run_sweep(other)
    assert [path.name for path in Path(other.run_dir).iterdir()] == ["run.json"]
