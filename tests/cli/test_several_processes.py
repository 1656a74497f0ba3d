"""``torchrun -m tfclass train``: one training on the terminal, in its folder and in MLflow, however many processes."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import mlflow
import psutil
import pytest
import torch

from tests.cli.test_train import QUICK, corpus, wait_for, weights

__all__ = ["corpus"]

ROOT = Path(__file__).parents[2]

# Dropout alone draws other numbers in two processes.
SAME = [*QUICK, "model.dropout=0", "training.checkpoint_minutes=0"]
MANY = ["training.epochs=500", "training.patience=500"]


@pytest.fixture
def two(start_tfclass):
    """Start ``tfclass`` in two processes, with the variables that torchrun gives them."""

    def start(*arguments):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        return [start_tfclass(*arguments, RANK=rank, LOCAL_RANK=rank, **common) for rank in "01"]

    return start


def ends(started):
    """Wait for all; give the status of each, and what each wrote to stderr."""
    errors = [process.communicate(timeout=120)[1].decode() for process in started]
    return [process.returncode for process in started], errors


def assert_same_weights(left, right):
    for name, weight in weights(left).items():
        torch.testing.assert_close(weight, weights(right)[name], rtol=1e-3, atol=1e-4)


def test_two_processes_make_one_bundle_and_one_run_in_mlflow(tfclass, two, corpus, tmp_path, empty_store):
    assert tfclass("train", corpus, *SAME, "bundle=single").status == 0
    shutil.copy(empty_store, tmp_path)
    tracked = [option for option in SAME if option != "tracking=off"]
    statuses, (first, second) = ends(two("train", corpus, *tracked, "bundle=both", "tracking.register="))
    assert (statuses, second) == ([0, 0], "")
    assert [line[:9] for line in first.splitlines()] == ["epoch   1", "epoch   2", "epoch   3", "bundle: b"]
    assert_same_weights(tmp_path / "both", tmp_path / "single")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("tfclass").experiment_id])  # type: ignore[union-attr]
    assert (run.info.status, run.data.params["n_processes"]) == ("FINISHED", "2")
    assert len(list((tmp_path / "runs" / "demo-bilstm").iterdir())) == 2


def test_a_killed_process_ends_the_other_in_one_line(two, corpus, tmp_path):
    started = two("train", corpus, *SAME, *MANY, "run_dir=stopped")
    wait_for((tmp_path / "stopped" / "checkpoint.pt").exists, started[0])
    started[0].kill()
    statuses, (_, error) = ends(started)
    assert statuses == [-signal.SIGKILL, 1]
    assert error == (
        "tfclass: process 2 of 2: found that another one has ended; expected all of them to work; this one ends too; "
        "go on with: tfclass train resume=stopped\n"
    )


def test_a_signal_to_one_process_stops_both_after_the_same_step(tfclass, two, corpus, tmp_path):
    started = two("train", corpus, *SAME, *MANY, "run_dir=stopped")
    wait_for((tmp_path / "stopped" / "checkpoint.pt").exists, started[0])
    started[1].send_signal(signal.SIGTERM)
    statuses, (first, second) = ends(started)
    assert statuses == [130, 130]
    assert first.splitlines()[-1] == "tfclass: interrupted; go on with: tfclass train resume=stopped"
    assert second == "stopping after this batch; once more to stop at once\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            ["training.lr=1"],
            "tfclass: training.lr: unknown option; expected one of epochs, ",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["-m", "model=gru,rnn"],
            "tfclass: -m: found 2 processes; expected one training at a time; leave -m out",
            marks=pytest.mark.slow,
        ),
        # The first process alone looks at the folder.
        (["run_dir=taken"], "tfclass: taken: found a training that was here before; expected an empty folder; resume"),
    ],
    ids=["option", "multirun", "folder"],
)
def test_what_is_wrong_is_said_once(options, message, two, corpus, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "checkpoint.pt").touch()
    statuses, errors = ends(two("train", corpus, *SAME, *options))
    assert statuses == [2, 2]
    assert sum(error.count("\n") for error in errors) == 1, errors
    assert errors[0].startswith(message)


@pytest.fixture
def torchrun(tmp_path):
    """Start ``torchrun`` itself."""
    started = []

    def start(*arguments):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        options = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        started.append(subprocess.Popen([*command, "-m", "tfclass", *arguments], env=environment, **options))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.mark.slow
def test_torchrun_trains_to_the_weights_of_a_single_process(torchrun, tfclass, corpus, tmp_path):
    assert tfclass("train", corpus, *SAME, "bundle=single").status == 0
    process = torchrun("train", corpus, *SAME, "bundle=both")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert errors.count("validation: loss") == 3
    assert_same_weights(tmp_path / "both", tmp_path / "single")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "resumed_by"), [(signal.SIGKILL, 1), (signal.SIGKILL, 2), (signal.SIGINT, 1), (signal.SIGTERM, 2)]
)
def test_a_training_that_torchrun_ended_goes_on(number, resumed_by, torchrun, tfclass, corpus, tmp_path):
    options = [corpus, *SAME, "training.epochs=12"]
    assert tfclass("train", *options, "bundle=single").status == 0
    process = torchrun("train", *options, "run_dir=stopped")
    wait_for((tmp_path / "stopped" / "checkpoint.pt").exists, process, seconds=300)
    if number == signal.SIGKILL:
        psutil.Process(process.pid).children()[1].kill()
    else:
        process.send_signal(number)
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    # torchrun adds much of its own.
    (last,) = [line for line in errors.splitlines() if line.startswith(("tfclass: ", "stopping"))]
    assert "tfclass/cli" not in errors
    assert last.endswith("; go on with: tfclass train resume=stopped"), errors
    assert ("interrupted" in last) == (number != signal.SIGKILL)
    if resumed_by == 1:
        assert tfclass("train", "resume=stopped").status == 0
    else:
        again = torchrun("train", "resume=stopped")
        _, errors = again.communicate(timeout=300)
        assert again.returncode == 0, errors
    assert_same_weights(tmp_path / "stopped" / "bundle", tmp_path / "single")
