"""The experiment's page: description, columns, and the address of the table of runs."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import mlflow
import pytest

from tfclass.config import TrackingConfig
from tfclass.errors import TrackingError
from tfclass.tracking.experiment import experiment_tags
from tfclass.tracking.log import tracked
from tfclass.tracking.record import Facts
from tfclass.tracking.ui import serve

VIEW = "mlflow.sharedViewState.tfclass"


def test_an_experiment_has_a_view_of_the_scores_sorted_by_validation(folder):
    with tracked(TrackingConfig.default(system_seconds=0), folder / "run", "training", Facts()):
        pass
    tags = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db").get_experiment_by_name("tfclass").tags  # type: ignore[union-attr]
    view = json.loads(tags[VIEW])
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`validation/average_precision`", False)
    assert view["selectedColumns"] == [
        "metrics.`validation/average_precision`",
        "metrics.`test/average_precision`",
        "metrics.`validation/mcc`",
        "metrics.`test/mcc`",
        "tags.`network`",
        "tags.`corpus`",
    ]
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    assert "tfclass predict FASTA --model models:/tfclass@champion" in tags["mlflow.note.content"]


def test_an_experiment_of_an_earlier_version_gets_the_view_and_keeps_its_own_description(folder):
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    client.create_experiment("tfclass", tags={"mlflow.note.content": "mine", VIEW: "{}"})
    with tracked(TrackingConfig.default(system_seconds=0), folder / "run", "training", Facts()):
        pass
    tags = client.get_experiment_by_name("tfclass").tags  # type: ignore[union-attr]
    assert tags["mlflow.note.content"] == "mine"
    assert tags[VIEW] == experiment_tags()[VIEW]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.slow
def test_the_ui_names_the_page_of_the_runs_last_once_there_is_an_answer(folder):
    with tracked(TrackingConfig.default(system_seconds=0), folder / "run", "training", Facts()) as run:
        pass
    run = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db").get_run(run.run_id)
    port = free_port()
    command = [sys.executable, "-c", "from tfclass.cli.app import main; main()", "ui", "--port", str(port)]
    variables = {**os.environ, "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])}
    # Its jobs are of no use here, and three more processes that import all of MLflow.
    variables["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env=variables, start_new_session=True)
    try:
        opened = next(line for line in process.stderr if line.startswith(b"open "))  # type: ignore[union-attr]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=30) as answer:
            assert answer.read() == b"OK"
    finally:
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    page = f"http://127.0.0.1:{port}/#/experiments/{run.info.experiment_id}/runs"
    assert opened.decode() == f"open {page}?workflowType=machine_learning&viewStateShareKey=tfclass\n"
    assert (process.returncode, rest.strip()) == (143, b"tfclass: interrupted")
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)


def test_a_port_that_is_in_use_is_refused_before_mlflow_starts(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TrackingError, match=f"port {port}: Address already in use; choose another one"):
            serve(TrackingConfig.default(), port, print)


def test_a_server_is_named_and_not_started(folder):
    said = []
    with pytest.raises(TrackingError, match="MLflow at http://127.0.0.1:9: Connection refused"):
        serve(TrackingConfig.default(uri="http://127.0.0.1:9", timeout=1.0), 5000, said.append)
    assert said == []
