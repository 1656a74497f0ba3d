"""How MLflow is reached: which store is the global one, for how long it is waited for, and who may write."""

import contextlib
import functools
import logging
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tfclass.errors import TrackingError

# What MLflow says fits easily; its files are bundles and reports.
_LARGEST_ANSWER, _LARGEST_FILE = 32 << 20, 2 << 30

# The folder beside a SQLite store in which models and other files of runs are kept.
ARTIFACTS = "mlartifacts"


@contextlib.contextmanager
def as_global(uri: str) -> Iterator[None]:
    """Let this be the store of MLflow's global functions for the time of the block."""
    import mlflow

    name = "MLFLOW_TRACKING_URI"
    before, variable = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None, os.environ.get(name)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        # None, as MLflow takes it: as if never set. It sets the variable too, which may not stay: it wins over ours.
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]
        os.environ.pop(name, None)
        os.environ.update({name: variable} if variable else {})


def is_missing(uri: str) -> bool:
    """Tell whether a SQLite store is not there; MLflow would make one to read from."""
    path = sqlite_file(uri)
    return path is not None and not path.exists()


def check_database(uri: str) -> None:
    """Check that a SQLite store is a database, if it is there; do nothing for another store.

    Raises
    ------
    TrackingError
        It is another file, or cannot be opened.
    """
    path = sqlite_file(uri)
    if path is None or not path.exists():
        return
    action = "move it away, or name another store with MLFLOW_TRACKING_URI"
    if not path.is_file():
        raise TrackingError(str(path), "no plain file", "an SQLite database", action, path=str(path))
    try:
        address = f"{path.resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True, timeout=0)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        # A database that is in use is waited for when it is needed.
        if "locked" not in str(error):
            found = f"a file that is no SQLite database that can be read ({error})"
            found = "a file that is no SQLite database" if "not a database" in str(error) else found
            raise TrackingError(str(path), found, action=action, path=str(path)) from error


def sqlite_file(uri: str) -> Path | None:
    """Give the file of a SQLite store, whatever its driver and options; None for another store.

    Examples
    --------
    >>> sqlite_file("sqlite+pysqlite:///mlflow.db?timeout=5")
    PosixPath('mlflow.db')
    """
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+)(?:\?.*)?", uri)
    return Path(match[1]) if match else None


def one_at_a_time(uri: str, seconds: float) -> contextlib.AbstractContextManager[object]:
    """Hold a lock on a SQLite store, where two processes that both make its tables break each other.

    Raises
    ------
    filelock.Timeout
        Another process holds it for longer than `seconds`.
    """
    path = sqlite_file(uri)
    if path is None:
        return contextlib.nullcontext()
    from filelock import FileLock

    return FileLock(f"{path}.lock", timeout=seconds)


def wait_for_sqlite(uri: str, seconds: float) -> None:
    """Wait until a SQLite store can be written to, or find out that it cannot; does nothing for another store.

    MLflow itself gives up on a locked one after five seconds, and tries one that cannot be opened for over a minute.

    Raises
    ------
    sqlite3.Error, OSError
        It is locked for longer than `seconds`, no database, or cannot be written to.
    """
    path = sqlite_file(uri)
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, timeout=seconds, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def short_waits(seconds: float) -> Iterator[None]:
    """Let a call to a server cost `seconds` at most, and MLflow and its libraries keep silent about it.

    That holds for the whole call, retries and redirects included; of a file, until each further mebibyte of it. What
    the user has set in the environment stays.
    """
    values = {
        # One request and one more, each cut off after half of the time.
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, round(seconds / 2))),
        # What MLflow would print by itself: the address of a run on stdout, and bars.
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    ours = {key: value for key, value in values.items() if key not in os.environ}
    os.environ.update(ours)
    # Nothing may go out on the network, also afterwards, and MLflow's git probe may not warn where there is no git.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    # Importing it sets the levels that are changed next.
    import mlflow  # noqa: F401

    loggers = [logging.getLogger(name) for name in ("mlflow", "urllib3", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with _limited_calls(seconds):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for key in ours:
            os.environ.pop(key, None)


@contextlib.contextmanager
def _limited_calls(seconds: float) -> Iterator[None]:
    # MLflow limits neither time nor size of a call, and has no place to say so: its sessions are replaced by ours.
    from mlflow.utils import request_utils

    if not isinstance(request_utils._get_request_session, _Sessions):
        request_utils._get_request_session = _Sessions(request_utils._get_request_session)
    sessions = request_utils._get_request_session
    sessions.limits.append(seconds)
    try:
        yield
    finally:
        sessions.limits.remove(seconds)


class _Sessions:
    """MLflow's sessions, with a limit while a block asks for one; blocks of several threads may overlap."""

    def __init__(self, theirs: Callable[..., Any]) -> None:
        self._theirs = theirs
        self.limits: list[float] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        session = self._theirs(*args, **kwargs)
        return _limited_session(session, self.limits[-1]) if self.limits else session


@functools.lru_cache(maxsize=64)
def _limited_session(theirs: Any, seconds: float) -> Any:  # noqa: ANN401 - importing the types takes time
    from tfclass.io.http import LimitedSession

    retries = theirs.get_adapter("https://").max_retries
    return LimitedSession(seconds, _LARGEST_ANSWER, _LARGEST_FILE, retries)
