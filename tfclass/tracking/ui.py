"""The MLflow UI on this machine, and the address of its table of runs."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from tfclass.config import TrackingConfig
from tfclass.errors import TrackingError
from tfclass.tracking.connection import reason_of, short_waits, store_exists, tracking_uri, without_password
from tfclass.tracking.experiment import runs_address, update_view

_START_SECONDS = 120.0


def serve(config: TrackingConfig, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve the UI of the store until the process is interrupted; a store that is a server is only named.

    Parameters
    ----------
    on_ready : callable
        Receives the address to open, once there is an answer.

    Raises
    ------
    TrackingError
        The store cannot be read, the port is taken, or MLflow's server ended.
    """
    uri = tracking_uri(config)
    if uri.startswith("http"):
        on_ready(_page(config, uri, without_password(uri).rstrip("/")))
        return
    server = f"http://127.0.0.1:{port}"
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise TrackingError(f"port {port}: {error.strerror}; choose another one: make ui PORT=5001") from error
    page = _page(config, uri, server)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, "--port", str(port), "--workers", "1"]
    # Its own address leads to other pages, and its warnings are about its own code.
    command += ["--uvicorn-opts", "--log-level warning"]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONWARNINGS": "ignore"})
    try:
        _wait_until_ready(process, server)
        on_ready(page)
        process.wait()
    finally:
        process.terminate()
        process.wait()


def _page(config: TrackingConfig, uri: str, server: str) -> str:
    """Return the address of the table of runs, or of the list of experiments before there is a run."""
    import mlflow

    if not store_exists(uri):
        return runs_address(server)
    try:
        with short_waits(config.timeout):
            client = mlflow.MlflowClient(uri)
            experiment = client.get_experiment_by_name(config.experiment)
            if experiment is None:
                return runs_address(server)
            update_view(client, experiment)
    except Exception as error:  # MLflow raises its own and SQLAlchemy's
        raise TrackingError(f"MLflow at {without_password(uri)}: {reason_of(error)}") from error
    return runs_address(server, experiment.experiment_id)


def _wait_until_ready(process: "subprocess.Popen[bytes]", server: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"{server}/health", timeout=5):  # noqa: S310 - http://127.0.0.1
                return
        except OSError:
            time.sleep(0.2)
    problem = "no answer" if process.poll() is None else f"ended with status {process.returncode}"
    raise TrackingError(f"mlflow ui at {server}: {problem}; see the lines above")
