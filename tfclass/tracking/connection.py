"""The MLflow store: where it is, whether it can be used, and how long it is waited for."""

import contextlib
import functools
import logging
import os
import re
import sqlite3
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfclass.config import TrackingConfig
from tfclass.errors import TfclassError, TrackingError, escaped

# The folder beside a SQLite store in which models and other files of runs are kept.
ARTIFACTS = "mlartifacts"

_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks", "databricks-uc")
# Answers of MLflow fit easily; its files are bundles and reports.
_MAX_ANSWER_BYTES, _MAX_FILE_BYTES = 32 << 20, 2 << 30
# The part of a message that is the reason, wherever it stands.
_REASON = re.compile(
    "connection refused|timed out|name or service not known|database is locked|disk is full"
    "|too many \\d+ error responses|error code \\d+|not in a valid JSON format"
    "|an answer of more than \\d+ MiB|exceeded \\d+ redirects",
    re.IGNORECASE,
)
# What MLflow writes ahead of the reason, and SQLAlchemy behind it: the statement with its values, and a link.
_NO_REASON = re.compile(r"API request to \S+ failed with exception |\s*(\[SQL: |\(Background on this ).*", re.DOTALL)
# An answer of a server can be long, and stands in some messages.
_MAX_MESSAGE = 10_000


def tracking_uri(config: TrackingConfig) -> str:
    """Return the store's URI: ``MLFLOW_TRACKING_URI``, else the configuration's, else SQLite in the working directory.

    Raises
    ------
    TrackingError
        It is a folder or a ``file:`` URI, which MLflow no longer writes to, or of no kind that MLflow knows.
    """
    default = f"sqlite:///{Path('mlflow.db').resolve()}"
    uri = os.environ.get("MLFLOW_TRACKING_URI") or config.uri
    if not uri:
        return default
    # A database may name its driver (postgresql+psycopg2), and Databricks needs nothing but its name.
    scheme = uri.split(":", 1)[0].split("+", 1)[0]
    if scheme not in _SCHEMES or ("://" not in uri and not scheme.startswith("databricks")):
        raise TrackingError(
            f"tracking.uri: {without_password(uri)!r} is neither a database nor a server; use {default}"
        )
    return uri


def without_password(text: str) -> str:
    """Return a URI, or a message with one, without its password.

    Examples
    --------
    >>> without_password("postgresql://me:secret@host/mlflow")
    'postgresql://me@host/mlflow'
    """
    # Up to the last @ of a word: a password may have one, and slashes too.
    return re.sub(r"(://[^:/@\s]*):\S*@", r"\1@", text)


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite store, whatever its driver and options; None for another store.

    Examples
    --------
    >>> sqlite_file("sqlite+pysqlite:///mlflow.db?timeout=5")
    PosixPath('mlflow.db')
    """
    match = re.fullmatch(r"sqlite(?:\+\w+)?:///([^?]+)(?:\?.*)?", uri)
    return Path(match[1]) if match else None


def store_exists(uri: str) -> bool:
    """Return whether a SQLite store exists, since MLflow would create it; True for another store.

    Raises
    ------
    TrackingError
        It is another file, or cannot be opened.
    """
    path = sqlite_file(uri)
    if path is None or not path.exists():
        return path is None
    problem = "" if path.is_file() else "not a plain file"
    try:
        if not problem:
            address = f"{path.resolve().as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(address, uri=True, timeout=0)) as connection:
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        # A database that is in use is waited for when it is needed.
        problem = "" if "locked" in str(error) else f"not a readable SQLite database ({error})"
    if problem:
        raise TrackingError(f"{path}: {problem}; move it away, or name another store with MLFLOW_TRACKING_URI")
    return True


def download(address: str, folder: Path, config: TrackingConfig, error_type: type[TfclassError]) -> Path:
    """Download what is at ``models:/...`` or ``runs:/...`` in the store into a folder.

    Raises
    ------
    TfclassError
        Of the given type: there is no such thing. `TrackingError` where the store is no database.
    """
    uri = tracking_uri(config)
    shown = without_password(uri)
    if not store_exists(uri):
        action = "set MLFLOW_TRACKING_URI, or work in the folder of mlflow.db"
        raise error_type(f"{address}: no MLflow store at {shown}; {action}")
    with short_waits(config.timeout), as_global(uri):
        from mlflow.artifacts import download_artifacts

        try:
            return Path(download_artifacts(artifact_uri=address, dst_path=str(folder)))
        except Exception as error:  # MLflow raises its own, SQLAlchemy's and those of the artifact store
            reason = without_password(reason_of(error))
            raise error_type(f"{address}: cannot be fetched from MLflow at {shown} ({reason})") from error


def reason_of(error: BaseException) -> str:
    """Return the reason in an exception of MLflow, whose message can fill a page, in a few words."""
    text = str(error)[:_MAX_MESSAGE]
    if match := _REASON.search(text):
        return match[0]
    words = " ".join(_NO_REASON.sub("", text).split()) or type(error).__name__
    return escaped(textwrap.shorten(words, 160, placeholder=" ...") if " " in words[:160] else words[:160])


@contextlib.contextmanager
def held(uri: str, seconds: float) -> Iterator[None]:
    """Hold a SQLite store alone, once it can be written to: processes that both create its tables break each other.

    MLflow itself gives up on a locked one after five seconds, and tries one that cannot be opened for over a minute.

    Raises
    ------
    sqlite3.Error, OSError
        It is locked for longer than `seconds`, no database, or cannot be written to.
    """
    path = sqlite_file(uri)
    if path is None:
        yield
        return
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, timeout=seconds, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    with FileLock(f"{path}.lock", timeout=seconds):
        yield


@contextlib.contextmanager
def as_global(uri: str) -> Iterator[None]:
    """Make this the store of MLflow's global functions for the time of the block."""
    import mlflow

    name = "MLFLOW_TRACKING_URI"
    before, variable = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None, os.environ.get(name)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        # MLflow takes None for "never set". It sets the variable too, which may not stay: it wins over ours.
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]
        os.environ.pop(name, None)
        os.environ.update({name: variable} if variable else {})


@contextlib.contextmanager
def short_waits(seconds: float) -> Iterator[None]:
    """Let a call to a server cost `seconds` at most, and keep MLflow and its libraries silent about it.

    The limit is of the whole call, retries and redirects included; of a file, until each further mebibyte of it. What
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
    from mlflow.utils import request_utils

    loggers = [logging.getLogger(name) for name in ("mlflow", "urllib3", "alembic")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    # MLflow limits neither time nor size of a whole call, and has no option for it: its sessions are replaced by ours.
    theirs = request_utils._get_request_session
    request_utils._get_request_session = lambda *args, **kwargs: _limited_session(theirs(*args, **kwargs), seconds)
    try:
        yield
    finally:
        request_utils._get_request_session = theirs
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for key in ours:
            os.environ.pop(key, None)


@functools.lru_cache(maxsize=64)
def _limited_session(theirs: Any, seconds: float) -> Any:  # noqa: ANN401 - importing the types takes time
    from tfclass.io.http import LimitedSession

    retries = theirs.get_adapter("https://").max_retries
    return LimitedSession(seconds, _MAX_ANSWER_BYTES, _MAX_FILE_BYTES, retries)
