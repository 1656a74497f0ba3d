"""MLflow as it is used: stores that fail and come back, versions and the champion, the model behind a server."""

import contextlib
import http.server
import json
import os
import resource
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import sqlalchemy
from mlflow.exceptions import MlflowException

from tests.conftest import SMALL
from tfclass.bundle.bundle import load_bundle
from tfclass.bundle.save import save_bundle
from tfclass.config import (
    CorpusConfig,
    EvaluateConfig,
    EvaluationConfig,
    RuntimeConfig,
    TrackingConfig,
    TrainConfig,
    TrainingConfig,
)
from tfclass.errors import TrackingError
from tfclass.pipelines.evaluate import evaluate_bundle
from tfclass.pipelines.train import train_and_package
from tfclass.tracking.log import track, tracked
from tfclass.tracking.record import Facts
from tfclass.training.trainer import Callbacks, Interrupted

MLFLOW = [sys.executable, "-m", "mlflow"]
SEQUENCES = ["MKVLAAGIVGLCAKAYLRRH", "MRKPCTECGKSFSRSDHLARHIRTHTGEKPFAC", "GSHMASMTGGQQMGRDPNSSSVDK"]


@pytest.fixture
def config(folder):
    return TrackingConfig.default(
        uri=f"sqlite:///{folder}/mlflow.db", experiment="tested", timeout=1.0, system_seconds=0
    )


def train_config(table, folder, tracking, **changes):
    options = {
        "corpus": CorpusConfig.default(path=str(table), name="demo"),
        "model": SMALL,
        "training": TrainingConfig.default(epochs=3, max_residues=2048),
        "tracking": tracking,
        "runtime": RuntimeConfig.default(device="cpu", threads=1),
        "run_dir": str(folder / "run"),
    }
    return TrainConfig.default(**(options | changes))


def the_run(uri, experiment="tested"):
    client = mlflow.MlflowClient(uri)
    (run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])  # type: ignore[union-attr]
    return client, run


def contents(uri):
    """Everything in a SQLite store, row by row."""
    with contextlib.closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Served:
    """A command that serves HTTP on a port, until it is stopped."""

    def __init__(self, command, port, path, log):
        # MLflow starts uvicorn by its bare name: as in an activated environment, it has to be on the path.
        path_variable = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        variables = {**os.environ, "PATH": path_variable, "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"}
        # The jobs of a server are of no use here, and three more processes that import all of MLflow.
        variables["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                command, env=variables, stdout=stream, stderr=stream, start_new_session=True
            )
        self.address = f"http://127.0.0.1:{port}"
        for _ in range(1200):
            try:
                urllib.request.urlopen(self.address + path, timeout=5)
                return
            except OSError:
                assert self.process.poll() is None, log.read_text()
                time.sleep(0.1)
        raise TimeoutError(log.read_text())

    def stop(self):
        if self.process.poll() is None:
            # Its workers too.
            os.killpg(self.process.pid, 9)
            self.process.wait()


def start_server(folder, port):
    command = [*MLFLOW, "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/files"]
    return Served(command, port, "/health", folder / "server.log")


@pytest.mark.slow
def test_a_server_that_dies_costs_one_line_and_nothing_of_the_run(demo_table, folder, caplog):
    port = free_port()
    server = start_server(folder, port)
    tracking = TrackingConfig.default(uri=server.address, experiment="tested", system_seconds=0.1)

    def on_epoch(entry):
        if entry["epoch"] == 0:
            server.stop()

    try:
        trained = train_and_package(train_config(demo_table, folder, tracking), Callbacks(on_epoch=on_epoch))
    finally:
        server.stop()
    (warning,) = caplog.messages
    assert warning == (
        f"tfclass: MLflow at {server.address}: Connection refused; the run goes on; "
        f"to log it later: tfclass track {folder / 'run'}"
    )
    with pytest.raises(TrackingError, match="Connection refused; start it, or name another"):
        track(folder / "run")
    server = start_server(folder, port)
    try:
        done, is_new = track(folder / "run")
        before = contents(f"sqlite:///{folder}/mlflow.db")
        assert (is_new, track(folder / "run")[1]) == (True, False)
        # Nor where it is not known that all of it is there.
        replace(done, is_tracked=False).save(folder / "run")
        assert track(folder / "run")[1]
    finally:
        server.stop()
    assert contents(f"sqlite:///{folder}/mlflow.db") == before
    client, run = the_run(f"sqlite:///{folder}/mlflow.db")
    assert (run.info.run_id, run.info.status) == (done.run_id, "FINISHED")
    history = client.get_metric_history(run.info.run_id, "epoch/valid_ap")
    assert [(m.step, m.value) for m in history] == [(n + 1, e["valid_ap"]) for n, e in enumerate(trained.history)]
    assert run.data.metrics["validation/mcc"] == trained.validation["mcc"]
    assert len(run.inputs.dataset_inputs) == 2
    assert client.get_model_version_by_alias("tfclass", "champion").run_id == run.info.run_id
    assert done.registered.startswith("tfclass version 1, champion: ")


class _Broken(http.server.BaseHTTPRequestHandler):
    def answer(self):
        if self.server.kind == "hangs":  # type: ignore[attr-defined]
            self.server.released.wait(60)  # type: ignore[attr-defined]
            return
        self.send_response(200 if self.server.kind == "talks nonsense" else 503)  # type: ignore[attr-defined]
        self.end_headers()
        self.wfile.write(b"<html>sign in here</html>")

    do_GET = do_POST = answer

    def log_message(self, *_):
        """Keep quiet."""


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("is overloaded", "too many 503 error responses"),
        ("talks nonsense", "not in a valid JSON format"),
        ("hangs", "timed out"),
    ],
)
def test_a_server_that_does_not_work_is_one_line_and_the_record_can_go_elsewhere(
    kind, reason, config, folder, caplog, monkeypatch
):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Broken)
    server.kind, server.released, server.daemon_threads = kind, threading.Event(), True  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    uri = f"http://someone:secret@127.0.0.1:{server.server_port}"
    with tracked(replace(config, uri=uri), folder / "run", "training", Facts()) as run:
        run.log_step({"loss": 1.0}, step=1)
    server.released.set()  # type: ignore[attr-defined]
    server.shutdown()
    (warning,) = caplog.messages
    shown = uri.replace(":secret", "")
    assert (
        warning
        == f"tfclass: MLflow at {shown}: {reason}; the run goes on; to log it later: tfclass track {folder / 'run'}"
    )
    assert "secret" not in (folder / "run" / "tracking.json").read_text()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", config.uri)
    track(folder / "run")
    assert the_run(config.uri)[1].data.metrics == {"loss": 1.0}


def test_a_locked_database_is_waited_for_and_then_gone_without(config, folder, caplog):
    lock = sqlite3.connect(folder / "mlflow.db", isolation_level=None, check_same_thread=False)
    lock.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.3, lambda: lock.execute("ROLLBACK"))
    release.start()
    with tracked(replace(config, timeout=60.0), folder / "waits", "waits", Facts()):
        pass
    assert (caplog.messages, the_run(config.uri)[1].info.run_name) == ([], "waits")
    lock.execute("BEGIN EXCLUSIVE")
    with tracked(config, folder / "without", "goes without", Facts()) as run:
        run.log_step({"loss": 1.0}, step=1)
    lock.execute("ROLLBACK")
    assert [message.split("; ")[0] for message in caplog.messages] == [
        f"tfclass: MLflow at {config.uri}: database is locked"
    ]
    done, _ = track(folder / "without")
    assert mlflow.MlflowClient(config.uri).get_run(done.run_id).data.metrics == {"loss": 1.0}


def test_a_file_that_is_no_database_and_a_folder_that_cannot_be_are_one_line_each(config, folder, caplog):
    (folder / "note.db").write_text("bread, butter, jam\n" * 50)
    for uri in (f"sqlite:///{folder}/note.db", f"sqlite:///{folder}/note.db/mlflow.db"):
        with tracked(replace(config, uri=uri), folder / "run", "training", Facts()):
            pass
    assert len(caplog.messages) == 2
    assert "file is not a database" in caplog.messages[0]
    assert (folder / "note.db").read_text() == "bread, butter, jam\n" * 50


@pytest.mark.parametrize(
    ("driver", "module", "package"),
    [
        ("postgresql+psycopg2", "psycopg2", "psycopg2-binary"),
        ("postgresql+psycopg", "psycopg", "'psycopg[binary]'"),
        ("mysql", "MySQLdb", "mysqlclient"),
        ("mysql+pymysql", "pymysql", "pymysql"),
    ],
)
def test_a_missing_driver_is_refused_at_once(driver, module, package, config, folder):
    if find_spec(module) is not None:
        pytest.skip("the driver is installed here")
    uri = f"{driver}://someone:secret@nowhere/mlflow"
    opened = tracked(replace(config, uri=uri), folder / "run", "training", Facts())
    with pytest.raises(TrackingError) as caught, opened:
        raise AssertionError("the block may not start")
    where = f"MLflow at {driver}://someone@nowhere/mlflow"
    assert str(caught.value) == f"{where}: no {module} to reach it with; pip install {package}"


def test_the_driver_that_the_documentation_names_is_the_one_that_sqlalchemy_takes():
    dialect = sqlalchemy.make_url("postgresql://user@host/mlflow").get_dialect()
    is_new = tuple(map(int, sqlalchemy.__version__.split(".")[:2])) >= (2, 1)
    assert dialect.driver == ("psycopg" if is_new else "psycopg2")


def _train_on_a_full_disk(table, folder, size):
    os.chdir(folder)
    os.dup2(os.open("errors", os.O_WRONLY | os.O_CREAT), 2)
    # What a write meets beyond the limit is what it meets on a full disk; the network's own files are smaller.
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    tracking = TrackingConfig.default(experiment="tested", timeout=1.0)
    train_and_package(train_config(table, folder, tracking))


def test_a_full_disk_does_not_end_a_training(demo_table, folder, processes):
    size = (folder / "mlflow.db").stat().st_size
    process = processes.Process(target=_train_on_a_full_disk, args=(demo_table, folder, size))
    process.start()
    process.join()
    (line,) = (folder / "errors").read_text().splitlines()
    assert process.exitcode == 0
    assert line.startswith("tfclass: MLflow at sqlite:///")
    assert load_bundle(folder / "run" / "bundle").name == "demo-bilstm"
    track(folder / "run")
    assert the_run(f"sqlite:///{folder}/mlflow.db")[1].info.status == "FINISHED"


def test_a_training_that_began_without_mlflow_and_resumes_with_it_is_one_run(demo_table, folder, config, caplog):
    class Stop:
        steps = 0

        def __call__(self):
            self.steps += 1
            return self.steps == 12

    nowhere = replace(config, uri=f"http://127.0.0.1:{free_port()}")
    first = train_config(demo_table, folder, nowhere, training=TrainingConfig.default(epochs=4, max_residues=8192))
    with pytest.raises(Interrupted):
        train_and_package(first, Callbacks(should_stop=Stop()))
    assert len(caplog.messages) == 1
    trained = train_and_package(replace(first, tracking=config, resume=str(folder / "run")))
    assert len(caplog.messages) == 1
    client, run = the_run(config.uri)
    history = client.get_metric_history(run.info.run_id, "epoch/valid_ap")
    assert [(m.step, m.value) for m in history] == [(n + 1, e["valid_ap"]) for n, e in enumerate(trained.history)]
    assert (run.info.status, run.data.params["training.epochs"]) == ("FINISHED", "4")


def test_a_training_resumed_where_its_run_is_not_known_is_logged_whole(demo_table, folder, config):
    first = train_config(demo_table, folder, replace(config, uri=f"sqlite:///{folder}/lost.db"))
    steps = iter(range(1000))
    with pytest.raises(Interrupted):
        train_and_package(first, Callbacks(should_stop=lambda: next(steps) == 3))
    train_and_package(replace(first, tracking=config, resume=str(folder / "run")))
    _, run = the_run(config.uri)
    assert (run.info.status, run.data.params["training.epochs"]) == ("FINISHED", str(first.training.epochs))
    assert json.loads((folder / "run" / "tracking.json").read_text())["run_id"] == run.info.run_id


def test_a_report_that_mlflow_lacks_outlives_the_next_one(demo_table, folder, small_bundle_folder, config, caplog):
    nowhere = replace(config, uri=f"http://127.0.0.1:{free_port()}")
    evaluation = EvaluationConfig.default(n_bootstrap=10, baselines=False)
    corpus, runtime = (
        CorpusConfig.default(path=str(demo_table), name="demo"),
        RuntimeConfig.default(device="cpu", threads=1),
    )
    for split in ("test", "valid"):
        evaluate_bundle(
            EvaluateConfig.default(
                corpus=corpus,
                runtime=runtime,
                evaluation=replace(evaluation, split=split),
                tracking=nowhere,
                bundle=str(small_bundle_folder),
                report=str(folder / "report"),
            )
        )
    aside = folder / "report.untracked-1"
    assert f"MLflow lacks what was in {folder / 'report'}; to log it: tfclass track {aside}" in caplog.text
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", config.uri)
        runs = [track(place)[0].run_id for place in (aside, folder / "report")]
    client, name = mlflow.MlflowClient(config.uri), load_bundle(small_bundle_folder).name
    assert [client.get_run(run).data.tags["split"] for run in runs] == ["column", "column"]
    assert [client.get_run(run).info.run_name for run in runs] == [
        f"{name} on demo {split}, network" for split in ("test", "valid")
    ]


def registered(config, bundle, validation_sha256):
    """Log a bundle in a run of its own, and say what its registration came to."""
    facts = Facts(bundle=str(bundle), validation_sha256=validation_sha256)
    with tracked(config, bundle.with_suffix(".run"), bundle.name, facts) as run:
        pass
    return run.record.registered


def save_scored(bundle, folder, score, **corpus):
    corpus |= {"name": "demo", "sha256": "c" * 64}
    facts = {"validation": {"average_precision": score}, "corpus": corpus}
    save_bundle(replace(bundle, name=folder.name, provenance=facts), folder, card=f"# {folder.name}\n")
    return folder


def test_the_champion_is_the_best_on_the_same_proteins(small_bundle, folder, config):
    said = []
    for name, score, proteins in (("a", 0.8, "p"), ("b", 0.7, "p"), ("c", 0.9, "q"), ("d", 0.85, "p")):
        bundle = save_scored(small_bundle, folder / name, score)
        said.append(registered(config, bundle, proteins * 64))
    assert said == [
        "tfclass version 1, champion: the first, with a validation average precision of 0.8000",
        "tfclass version 2, not champion: validation average precision 0.7000, version 1 has 0.8000; "
        "to use this version: --model models:/tfclass/2",
        "tfclass version 3, not champion: version 1 was validated on other proteins, so scores cannot be compared; "
        "to use this version: --model models:/tfclass/3",
        "tfclass version 4, champion: validation average precision 0.8500, version 1 had 0.8000",
    ]
    client = mlflow.MlflowClient(config.uri)
    champion = client.get_model_version_by_alias("tfclass", "champion")
    assert (str(champion.version), champion.description) == ("4", "# d\n")
    assert champion.tags["bundle_sha256"] == load_bundle(folder / "d").digest
    assert champion.tags["checks"] == "passed"
    assert {v.run_id for v in client.search_model_versions("name = 'tfclass'")} == {
        run.info.run_id
        for run in client.search_runs([client.get_experiment_by_name("tested").experiment_id])  # type: ignore[union-attr]
    }


def test_a_model_of_generated_proteins_is_never_champion_against_one_of_real_proteins(small_bundle, folder, config):
    said = []
    for name, score, proteins, generated in (("a", 0.9, "p", True), ("b", 0.6, "q", False), ("c", 0.99, "q", True)):
        bundle = save_scored(small_bundle, folder / name, score, generated=generated)
        said.append(registered(config, bundle, proteins * 64))
    assert said == [
        "tfclass version 1, champion: the first, with a validation average precision of 0.9000",
        "tfclass version 2, champion: version 1 was trained on generated proteins; validation average precision 0.6000",
        "tfclass version 3, not champion: it was trained on generated proteins, version 2 on real ones; "
        "to use this version: --model models:/tfclass/3",
    ]
    assert str(mlflow.MlflowClient(config.uri).get_model_version_by_alias("tfclass", "champion").version) == "2"


def test_a_champion_that_cannot_be_asked_for_keeps_its_place(small_bundle, folder, config, monkeypatch):
    registered(config, save_scored(small_bundle, folder / "good", 0.9), "p" * 64)
    client = mlflow.MlflowClient(config.uri)

    def locked(*_):
        raise MlflowException("(sqlite3.OperationalError) database is locked")

    with monkeypatch.context() as patch:
        for question in ("get_registered_model", "get_model_version_by_alias"):
            patch.setattr(mlflow.MlflowClient, question, locked)
        registered(replace(config, timeout=1), save_scored(small_bundle, folder / "worse", 0.1), "p" * 64)
    assert str(client.get_model_version_by_alias("tfclass", "champion").version) == "1"
    done, _ = track(folder / "worse.run")
    assert done.registered == (
        "tfclass version 2, not champion: validation average precision 0.1000, version 1 has 0.9000; "
        "to use this version: --model models:/tfclass/2"
    )


def test_an_altered_bundle_is_no_version_and_the_run_ends_well(small_bundle, folder, config, caplog):
    bundle = save_scored(small_bundle, folder / "altered", 0.9)
    with (bundle / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\xff")
    assert registered(config, bundle, "p" * 64) == ""
    assert "checksum mismatch" in caplog.messages[0]
    assert mlflow.MlflowClient(config.uri).search_model_versions("name = 'tfclass'") == []


def test_the_model_answers_the_command_lines_numbers_from_python_and_over_http(
    tfclass, small_bundle_folder, folder, config
):
    with tracked(config, folder / "run", "training", Facts(bundle=str(small_bundle_folder))):
        pass
    client, run = the_run(config.uri)
    (logged,) = client.search_logged_models([run.info.experiment_id])
    frame = pd.DataFrame({"id": ["a", "b", "c"], "sequence": SEQUENCES})
    (folder / "in.fasta").write_text("".join(f">{i}\n{s}\n" for i, s in zip(frame.id, frame.sequence, strict=True)))
    shown = tfclass("predict", folder / "in.fasta", "--format", "jsonl", "--model", small_bundle_folder)
    expected = [json.loads(line)["probability"] for line in shown.out.splitlines()]
    answer = mlflow.pyfunc.load_model(logged.artifact_location).predict(frame)
    assert answer["probability"].tolist() == pytest.approx(expected, abs=1e-6)
    port = free_port()
    command = [*MLFLOW, "models", "serve", "-m", logged.artifact_location, "--env-manager", "local"]
    server = Served([*command, "--port", str(port), "--workers", "1"], port, "/ping", folder / "serve.log")
    try:
        body = json.dumps({"dataframe_records": frame.to_dict("records")}).encode()
        asked = urllib.request.Request(
            f"{server.address}/invocations", data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=60) as response:
            rows = json.load(response)["predictions"]
    finally:
        server.stop()
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert [row["probability"] for row in rows] == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_the_served_model_answers_in_strict_json_whatever_the_request(with_profiles_folder, folder, config, tfclass):
    with tracked(config, folder / "run", "training", Facts(bundle=str(with_profiles_folder))):
        pass
    _, run = the_run(config.uri)
    (logged,) = mlflow.MlflowClient(config.uri).search_logged_models([run.info.experiment_id])
    (folder / "in.fasta").write_text(f">7\n{SEQUENCES[0]}\n>8\n{SEQUENCES[1]}\n>9\n")
    shown = tfclass("predict", folder / "in.fasta", "--format", "jsonl", "--model", with_profiles_folder)
    expected = [json.loads(line) for line in shown.out.splitlines()]
    port = free_port()
    command = [*MLFLOW, "models", "serve", "-m", logged.artifact_location, "--env-manager", "local"]
    server = Served([*command, "--port", str(port), "--workers", "1"], port, "/ping", folder / "serve.log")

    def ask(content):
        request = urllib.request.Request(
            f"{server.address}/invocations",
            data=json.dumps(content).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return response.status, json.loads(response.read(), parse_constant=pytest.fail)
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read(), parse_constant=pytest.fail)

    try:
        records = [{"id": i, "sequence": s} for i, s in ((7, SEQUENCES[0]), (8, SEQUENCES[1]), (9, ""))]
        status, answer = ask({"dataframe_records": records})
        assert status == 200
        # A client that parses strictly gets what JSON lines hold, families and domains that are none included.
        assert answer["predictions"] == expected
        assert None in {row["probability"] for row in expected}
        assert ask({"dataframe_records": [{"id": None, "sequence": None}]})[1]["predictions"][0]["status"] == "skipped"
        assert ask({"dataframe_split": {"columns": ["id", "sequence"], "data": []}}) == (200, {"predictions": []})
        status, answer = ask({"dataframe_records": [{"id": "a"}]})
        assert status == 400
        assert "Model is missing inputs ['sequence']" in answer["message"]
    finally:
        server.stop()
