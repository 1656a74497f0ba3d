"""Models from an MLflow registry: ``models:/tfclass@champion`` is a bundle like any other once it is fetched."""

import atexit
import shutil
import tempfile
from pathlib import Path

from tfclass.bundle.bundle import DESCRIPTION, find_bundle
from tfclass.config import TrackingConfig
from tfclass.errors import BundleError
from tfclass.tracking.access import as_global, is_missing, short_waits
from tfclass.tracking.delivery import reason_of
from tfclass.tracking.origin import tracking_uri, without_password

_SCHEMES = ("models:/", "runs:/")


def locate_model(name: str) -> Path:
    """Resolve what a user calls a model: a folder, the name of a shipped one, or an MLflow address.

    Parameters
    ----------
    name : str
        ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or ``runs:/RUN_ID/bundle`` is fetched from the store that
        ``MLFLOW_TRACKING_URI`` names, else from ``mlflow.db`` in the working directory.

    Returns
    -------
    Path
        A folder with a bundle; not yet checked.

    Raises
    ------
    BundleError
        There is no such model.
    """
    if not name.startswith(_SCHEMES):
        return find_bundle(name)
    config = TrackingConfig()
    store = tracking_uri(config)
    shown = without_password(store)
    if is_missing(store):
        action = "set MLFLOW_TRACKING_URI, or work in the folder of mlflow.db"
        raise BundleError(name, f"no MLflow store at {shown}", "one", action, path=name)
    fetched = Path(tempfile.mkdtemp(prefix="tfclass-"))
    atexit.register(shutil.rmtree, fetched, ignore_errors=True)
    try:
        with short_waits(config.timeout), as_global(store):
            from mlflow.artifacts import download_artifacts

            folder = Path(download_artifacts(artifact_uri=name, dst_path=str(fetched)))
    except Exception as error:  # MLflow raises its own, SQLAlchemy's and those of the artifact store
        found = f"nothing to fetch from {shown} ({without_password(reason_of(error))})"
        raise BundleError(name, found, "a model in it", path=name) from error
    # A logged model holds the bundle among its artifacts.
    inside = next((path.parent for path in sorted(folder.rglob(DESCRIPTION))), None)
    if inside is None:
        raise BundleError(name, "a model without a bundle", "one that tfclass logged", path=name)
    return inside
