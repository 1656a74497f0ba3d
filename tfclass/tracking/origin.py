"""Where a run comes from and where it is recorded: user, command, commit, and the address of the store."""

import getpass
import os
import re
import subprocess
import sys
from pathlib import Path

from tfclass.config import TrackingConfig
from tfclass.errors import TrackingError

_SCHEMES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks", "databricks-uc")


def tracking_uri(config: TrackingConfig) -> str:
    """Give the store's URI: ``MLFLOW_TRACKING_URI``, else the configuration's, else SQLite in the working directory.

    Raises
    ------
    TrackingError
        It is a folder or a ``file:`` URI, which MLflow no longer writes to, or of no kind that MLflow knows.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or config.uri
    if not uri:
        return f"sqlite:///{Path('mlflow.db').resolve()}"
    # A database may name its driver (postgresql+psycopg2), and Databricks needs nothing but its name.
    scheme = uri.split(":", 1)[0].split("+", 1)[0]
    if scheme not in _SCHEMES or ("://" not in uri and not scheme.startswith("databricks")):
        action = f"use sqlite:///{Path('mlflow.db').resolve()}"
        found = repr(without_password(uri))
        raise TrackingError("tracking.uri", found, "a database or a server", action, uri=without_password(uri))
    return uri


def without_password(text: str) -> str:
    """Give a URI, or what is said of one, as it may be shown and written down.

    Examples
    --------
    >>> without_password("postgresql://me:secret@host/mlflow")
    'postgresql://me@host/mlflow'
    """
    # Up to the last @ of a word: a password may have one, and slashes too.
    return re.sub(r"(://[^:/@\s]*):\S*@", r"\1@", text)


def origin_tags() -> dict[str, str]:
    """Name the user, the command and, where this tfclass runs from a checkout, its commit, by MLflow's names."""
    tags = {
        "mlflow.user": _user(),
        "mlflow.source.name": " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]]) if sys.argv[0] else "python",
        "mlflow.source.type": "LOCAL",
    }
    commit = _git("rev-parse", "HEAD")
    if commit:
        tags["mlflow.source.git.commit"] = commit
        tags["git_commit"] = commit[:12] + (" with changes" if _git("status", "--porcelain", "-uno") else "")
    return tags


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        return ""


def _git(*arguments: str) -> str:
    """Ask git about the folder that this package lies in; nothing where it is installed, or where there is no git."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        asked = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
