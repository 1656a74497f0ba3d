"""Servers that misbehave, against both clients: each ends within a stated time, in one line, and fills no memory."""

import io
import resource
import signal
import socket
import threading
import time

import mlflow
import pytest

from tests.hostile_server import ANSWERS, STALLING, HostileServer, drips, head
from tfclass.config import TrackingConfig
from tfclass.data.curation import FetchConfig, curation_config
from tfclass.data.uniprot import UniProt
from tfclass.errors import BundleError, FetchError, ReportError, TrackingError
from tfclass.io.http import MIB, LimitedSession, LimitError
from tfclass.tracking.connection import download
from tfclass.tracking.log import track, tracked
from tfclass.tracking.record import Facts, Scores
from tfclass.tracking.registry import fetch_model

SECONDS = 1.0
# What this process does beside waiting, on a machine that is busy.
OWN_SECONDS = 15.0
MEMORY = 400 << 10


@pytest.fixture
def limited():
    """A block that may take so many seconds of waiting, and so much memory."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    yield
    assert time.monotonic() - started < 2 * SECONDS + OWN_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY


def is_one_plain_line(text):
    return text.isprintable() and len(text) < 700


STALLS = ["no answer", "a body a byte at a time", "headers a byte at a time", "a body without end", "busy for an hour"]
# A second each; `test_a_download_from_such_a_server_ends_in_one_line` has them all, by the same session.
OTHER_STALLS = STALLING.keys() - STALLS


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] if kind in OTHER_STALLS else []) for kind in ANSWERS]
)
def test_a_run_goes_on_without_such_an_mlflow(kind, folder, caplog):
    with HostileServer(ANSWERS[kind]) as server:
        config = TrackingConfig.default(uri=server.address, timeout=SECONDS, system_seconds=0)
        with tracked(config, folder / "run", "training", Facts()) as run:
            run.log_step({"loss": 1.0}, 1)
    (line,) = caplog.messages
    assert is_one_plain_line(line)
    assert line.startswith(f"tfclass: MLflow at {server.address}: ")
    assert line.endswith(f"; the run goes on; to log it later: tfclass track {folder / 'run'}")


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[] if kind in ("no answer", "empty objects", "a bomb") else [pytest.mark.slow])
        for kind in ANSWERS
    ],
)
def test_a_run_without_such_an_mlflow_can_be_logged_later(kind, folder, monkeypatch):
    with HostileServer(ANSWERS[kind]) as server:
        config = TrackingConfig.default(uri=server.address, timeout=SECONDS, system_seconds=0)
        with tracked(config, folder / "run", "training", Facts()) as run:
            run.log_step({"loss": 1.0}, 1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    record, is_new = track(folder / "run")
    assert is_new
    assert mlflow.MlflowClient().get_run(record.run_id).data.metrics == {"loss": 1.0}


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("kind", ANSWERS)
def test_a_download_from_such_a_server_ends_in_one_line(kind):
    waits = []
    timeout = SECONDS / (8 if kind in STALLING else 2)
    with HostileServer(ANSWERS[kind]) as server:
        given = {"url": f"{server.address}/uniprotkb/search", "query": "all", "timeout": timeout}
        given |= {"rate": 1e6, "retries": 1, "backoff": 0.0}
        config = curation_config(FetchConfig, "fetch", given)
        uniprot = UniProt(config, lambda reason, _: waits.append(reason))
        with pytest.raises(FetchError) as raised:
            uniprot.page("", 0, None)
    assert is_one_plain_line(str(raised.value))
    assert all(map(is_one_plain_line, waits))
    assert not server.first


@pytest.mark.usefixtures("limited")
@pytest.mark.parametrize("kind", [*STALLS, "escapes in an error", "nested JSON as an error", "a bomb"])
def test_a_model_and_a_report_from_such_an_mlflow_are_refused_in_one_line(kind, tmp_path, monkeypatch):
    short = TrackingConfig.default(timeout=SECONDS)
    monkeypatch.setattr("tfclass.tracking.registry.TrackingConfig.default", lambda: short)
    with HostileServer(ANSWERS[kind]) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
        with pytest.raises(BundleError, match="cannot be fetched from MLflow at http") as model:
            fetch_model("models:/tfclass@champion")
        with pytest.raises(ReportError, match="cannot be fetched from MLflow at http") as report:
            download(f"runs:/{'0' * 32}/report", tmp_path, short, ReportError)
    assert is_one_plain_line(str(model.value))
    assert is_one_plain_line(str(report.value))


def test_a_run_is_not_logged_later_to_such_an_mlflow_and_keeps_what_it_has(folder, monkeypatch, caplog):
    config = TrackingConfig.default(uri="http://127.0.0.1:9", timeout=SECONDS, system_seconds=0)
    with tracked(config, folder / "run", "training", Facts()) as run:
        run.log_step({"loss": 1.0}, 1)
    kept = {path.name: path.read_bytes() for path in (folder / "run").iterdir()}
    for kind in (*STALLS, "escapes in an error", "empty objects"):
        with HostileServer(ANSWERS[kind]) as server:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
            with pytest.raises(TrackingError, match="start it, or name another") as raised:
                track(folder / "run")
        assert is_one_plain_line(str(raised.value))
        assert {path.name: path.read_bytes() for path in (folder / "run").iterdir()} == kept


def test_a_file_may_take_long_as_long_as_it_comes_and_no_longer():
    def in_parts(connection, over):
        connection.sendall(head("200 OK", f"Content-Length: {4 * MIB}"))
        for _ in range(4):
            over.wait(0.4)
            connection.sendall(b"x" * MIB)

    def then_a_byte_at_a_time(connection, over):
        connection.sendall(head("200 OK", f"Content-Length: {4 * MIB}") + b"x" * MIB)
        drips(b"")(connection, over)

    session = LimitedSession(1.0, MIB, 5 * MIB)
    with HostileServer(in_parts) as server, session.get(server.address, stream=True) as response:
        assert len(response.content) == 4 * MIB
    with HostileServer(in_parts) as server, pytest.raises(LimitError, match="an answer of more than 1 MiB"):
        session.get(server.address)
    with HostileServer(then_a_byte_at_a_time) as server, session.get(server.address, stream=True) as response:
        started = time.monotonic()
        with pytest.raises(LimitError, match="timed out"):
            response.raw.read()
    assert time.monotonic() - started < 2 + OWN_SECONDS


def test_what_is_sent_may_take_long_and_a_server_that_does_not_read_ends_it():
    body = bytes(16 * MIB)

    def reads_slowly(connection, over):
        connection.sendall(head("100 Continue"))
        for _ in range(16):
            connection.recv(MIB, socket.MSG_WAITALL)
            over.wait(0.1)
        connection.sendall(head("200 OK", "Content-Length: 2") + b"ok")

    session = LimitedSession(1.0, MIB, MIB)
    started = time.monotonic()
    with HostileServer(reads_slowly) as server:
        assert session.put(server.address, data=io.BytesIO(body)).text == "ok"
    assert time.monotonic() - started > 1.0
    started = time.monotonic()
    with HostileServer(ANSWERS["no answer"]) as server, pytest.raises((LimitError, OSError), match="timed out"):
        session.put(server.address, data=io.BytesIO(body))
    assert time.monotonic() - started < 2 + OWN_SECONDS


def test_who_interrupts_the_wait_for_mlflow_waits_for_nothing_more(folder, caplog):
    interrupt = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    with HostileServer(ANSWERS["a body a byte at a time"]) as server:
        config = TrackingConfig.default(uri=server.address, timeout=60.0, system_seconds=0)
        started = time.monotonic()
        interrupt.start()
        with pytest.raises(KeyboardInterrupt), tracked(config, folder / "report", "evaluation", Facts()):
            raise AssertionError("the block may not start")
        assert time.monotonic() - started < OWN_SECONDS
    later = f"to log it later: tfclass track {folder / 'report'}"
    assert caplog.messages == [f"tfclass: MLflow at {server.address}: interrupted before it answered; {later}"]


def test_mlflow_is_not_waited_for_twice_by_a_run_that_ends_at_once(folder, caplog):
    with HostileServer(ANSWERS["no answer"]) as server:
        config = TrackingConfig.default(uri=server.address, timeout=2.0, system_seconds=0)
        started = time.monotonic()
        with tracked(config, folder / "report", "evaluation", Facts()) as run:
            run.log(Facts(scores=[Scores({"test/mcc": 0.5})]))
    assert time.monotonic() - started < 2 * 2.0
    assert len(caplog.messages) == 1
