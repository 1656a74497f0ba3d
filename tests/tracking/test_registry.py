"""Models by MLflow address, from a real store."""

import contextlib
import os
import shutil
import sqlite3
import tempfile
from functools import partial
from pathlib import Path

import mlflow
import pytest

from tests.conftest import log_bundle
from tfclass.bundle.bundle import load_bundle
from tfclass.config import TrackingConfig
from tfclass.errors import BundleError, ReportError, TrackingError
from tfclass.inference.predictor import Predictor
from tfclass.sequences.fasta import Record
from tfclass.tracking.connection import download, store_exists
from tfclass.tracking.registry import fetch_model


@pytest.fixture(scope="module")
def logged(small_bundle_folder, tmp_path_factory, empty_store):
    """A store with the small bundle logged and registered; its URI and the run."""
    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{shutil.copy(empty_store, folder)}"
    run_id, model = log_bundle(uri, folder / "run", small_bundle_folder)
    client = mlflow.MlflowClient(uri)
    client.create_registered_model("tfclass")
    version = client.create_model_version("tfclass", model.artifact_location, run_id, model_id=model.model_id)
    client.set_registered_model_alias("tfclass", "champion", version.version)
    return uri, run_id


@pytest.mark.parametrize("address", ["models:/tfclass@champion", "models:/tfclass/1", "runs:/RUN/bundle"])
def test_an_address_is_the_bundle_that_was_logged(logged, address, small_bundle_folder, monkeypatch):
    uri, run_id = logged
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    predictor = Predictor.load(address.replace("RUN", run_id))
    assert predictor.bundle.digest == load_bundle(small_bundle_folder).digest
    records = [Record("a", "a", "MKVLAG")]
    assert list(predictor.predict(records)) == list(Predictor.load(small_bundle_folder).predict(records))


def fetch(uri, folder):
    """Fetch a model in a process that keeps temporary files in a folder, and say where it is."""
    os.environ["MLFLOW_TRACKING_URI"], tempfile.tempdir = uri, folder
    print(*sorted(fetch_model("models:/tfclass/1").iterdir()), flush=True)


def test_what_was_fetched_is_gone_when_python_ends(logged, tmp_path, tfclass):
    done = tfclass("--version", first=partial(fetch, logged[0], str(tmp_path)))
    assert f"{tmp_path}/.tfclass." in done.out
    assert "bundle.json" in done.out
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_one_line(logged, monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", logged[0])
    with pytest.raises(BundleError) as caught:
        fetch_model("models:/tfclass@nobody")
    assert str(caught.value).startswith("models:/tfclass@nobody: cannot be fetched from MLflow at sqlite:///")
    assert "\n" not in str(caught.value)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match="no MLflow store at sqlite:///"):
        fetch_model("models:/tfclass@champion")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_one_line_without_its_password(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with pytest.raises(BundleError) as caught:
        fetch_model("models:/tfclass@champion")
    assert str(caught.value).startswith(
        "models:/tfclass@champion: cannot be fetched from MLflow at http://me@127.0.0.1:9 ("
    )
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["models:/tfclass@champion", "models:/tfclass/1", "runs:/RUN/bundle"])
def test_a_project_that_was_moved_says_where_its_model_is_now(
    address, small_bundle_folder, empty_store, tmp_path, monkeypatch
):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "old").mkdir()
    uri = f"sqlite:///{shutil.copy(empty_store, tmp_path / 'old' / 'mlflow.db')}"
    run_id, model = log_bundle(uri, tmp_path / "run", small_bundle_folder)
    client = mlflow.MlflowClient(uri)
    client.create_registered_model("tfclass")
    client.create_model_version("tfclass", model.artifact_location, run_id, model_id=model.model_id)
    client.set_registered_model_alias("tfclass", "champion", "1")
    (tmp_path / "old").rename(tmp_path / "the new")
    monkeypatch.chdir(tmp_path / "the new")
    address = address.replace("RUN", run_id)
    with pytest.raises(BundleError) as caught:
        fetch_model(address)
    said = str(caught.value)
    assert said.startswith(f"{address}: no files at {tmp_path}/old/mlartifacts/")
    assert ", where MLflow recorded them; if the project was moved, use --model '" in said
    named = said.partition("--model '")[2].removesuffix("'")
    assert load_bundle(Path(named)).digest == load_bundle(small_bundle_folder).digest
    shutil.rmtree("mlartifacts")
    with pytest.raises(BundleError, match="move it back, or name the folder of a bundle with --model"):
        fetch_model(address)


NOT_A_DATABASE = (
    "not a readable SQLite database (file is not a database); "
    "move it away, or name another store with MLFLOW_TRACKING_URI"
)
STORES = {
    "text": (lambda path: path.write_text("hi\n"), NOT_A_DATABASE),
    "long text": (lambda path: path.write_text("bread, butter, jam\n" * 500), NOT_A_DATABASE),
    "only the mark of one": (
        lambda path: path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4080),
        "not a readable SQLite database (",
    ),
    "folder": (os.mkdir, "not a plain file; move it away"),
    "named pipe": (os.mkfifo, "not a plain file; move it away"),
}


@pytest.mark.parametrize(("make", "message"), STORES.values(), ids=STORES.keys())
def test_a_store_that_is_no_database_is_one_line(make, message, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "mlflow.db")
    reads = (
        lambda: fetch_model("models:/tfclass@champion"),
        lambda: fetch_model(f"runs:/{'0' * 32}/bundle"),
        lambda: download(f"runs:/{'0' * 32}/report", tmp_path / "report", TrackingConfig.default(), ReportError),
    )
    for read in reads:
        with pytest.raises(TrackingError) as caught:
            read()
        assert f"mlflow.db: {message}" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "SQL:" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_a_database_that_breaks_later_is_one_line_without_sql(empty_store, tmp_path, monkeypatch):
    path = shutil.copy(empty_store, tmp_path / "mlflow.db")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for table in ("registered_model_aliases", "runs"):
            connection.execute(f"ALTER TABLE {table} RENAME TO {table}_before")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
    with pytest.raises(BundleError) as model:
        fetch_model("models:/tfclass@champion")
    with pytest.raises(ReportError) as report:
        download(f"runs:/{'0' * 32}/report", tmp_path, TrackingConfig.default(), ReportError)
    assert "(sqlite3.OperationalError) no such " in str(report.value)
    for error in (model, report):
        assert "SELECT" not in str(error.value)
        assert "SQL:" not in str(error.value)
        assert "\n" not in str(error.value)


def test_a_database_in_use_and_another_kind_of_store_are_left_to_mlflow(empty_store, tmp_path):
    path = shutil.copy(empty_store, tmp_path / "mlflow.db")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert store_exists(f"sqlite:///{path}")
    assert store_exists("http://127.0.0.1:9")
    assert not store_exists(f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()
