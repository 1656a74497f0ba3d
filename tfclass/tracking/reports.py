"""Reports and MLflow: one is fetched, and what MLflow has missed of one is kept when it is replaced."""

import logging
from pathlib import Path

from tfclass.config import TrackingConfig
from tfclass.errors import ReportError
from tfclass.tracking.connection import check_database, is_missing, short_waits
from tfclass.tracking.delivery import reason_of
from tfclass.tracking.journal import Journal
from tfclass.tracking.origin import tracking_uri, without_password

_logger = logging.getLogger(__name__)


def set_aside(folder: Path) -> None:
    """Keep what MLflow has missed of a report that is about to be replaced, and say where."""
    if place := Journal(folder).set_aside():
        _logger.warning("tfclass: MLflow has missed what was in %s; to record it: tfclass replay %s", folder, place)


def report_of_run(run_id: str, config: TrackingConfig, folder: Path) -> Path:
    """Fetch the report of an evaluation's MLflow run into a folder.

    Raises
    ------
    ReportError
        There is none.
    TrackingError
        The store is no database.
    """
    uri = tracking_uri(config)
    shown = without_password(uri)
    if is_missing(uri):
        action = "set MLFLOW_TRACKING_URI, or work in the folder of mlflow.db"
        raise ReportError(run_id, f"no MLflow store at {shown}", "one", action)
    check_database(uri)
    from mlflow.artifacts import download_artifacts

    try:
        with short_waits(config.timeout):
            found = download_artifacts(run_id=run_id, artifact_path="report", dst_path=str(folder), tracking_uri=uri)
    except Exception as error:  # MLflow raises its own, SQLAlchemy's and those of the artifact store
        found = f"no report in MLflow at {shown} ({without_password(reason_of(error))})"
        raise ReportError(run_id, found, "the run of an evaluation") from error
    return Path(found)
