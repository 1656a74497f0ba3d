"""Models from an MLflow registry: ``models:/tfclass@champion`` is a bundle like any other once it is fetched."""

import atexit
import shlex
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tfclass.bundle.bundle import DESCRIPTION
from tfclass.config import TrackingConfig
from tfclass.errors import BundleError
from tfclass.io.files import temporary_folder
from tfclass.tracking.connection import ARTIFACTS, as_global, check_database, is_missing, short_waits, sqlite_file
from tfclass.tracking.delivery import reason_of
from tfclass.tracking.origin import tracking_uri, without_password


def fetch_model(name: str) -> Path:
    """Fetch a model by its MLflow address, for as long as Python runs.

    Parameters
    ----------
    name : str
        ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or ``runs:/RUN_ID/bundle``.

    Returns
    -------
    Path
        The folder of the bundle; not yet checked.

    Raises
    ------
    BundleError
        There is no such model.
    TrackingError
        The store is no database.
    """
    config = TrackingConfig()
    store = tracking_uri(config)
    shown = without_password(store)
    if is_missing(store):
        action = "set MLFLOW_TRACKING_URI, or work in the folder of mlflow.db"
        raise BundleError(name, f"no MLflow store at {shown}", "one", action, path=name)
    check_database(store)
    stack = ExitStack()
    fetched = stack.enter_context(temporary_folder())
    atexit.register(stack.close)
    with short_waits(config.timeout), as_global(store):
        try:
            from mlflow.artifacts import download_artifacts

            folder = Path(download_artifacts(artifact_uri=name, dst_path=str(fetched)))
        except Exception as error:  # MLflow raises its own, SQLAlchemy's and those of the artifact store
            _check_place(name, store)
            found = f"nothing to fetch from {shown} ({without_password(reason_of(error))})"
            raise BundleError(name, found, "a model in it", path=name) from error
        # A logged model holds the bundle among its artifacts.
        inside = next((path.parent for path in sorted(folder.rglob(DESCRIPTION))), None)
        if inside is None:
            _check_place(name, store)
            raise BundleError(name, "a model without a bundle", "one that tfclass logged", path=name)
    return inside


def _check_place(name: str, store: str) -> None:
    """Refuse a model whose files are not where a store on this machine recorded them, as after a project has moved.

    MLflow records absolute paths.

    Raises
    ------
    BundleError
        The place where they are now is named, if it is beside the store.
    """
    place = _recorded_place(name)
    if place is None or place.parent.exists():
        return
    action = "if the project was moved, move it back, or name the folder of a bundle with --model"
    database = sqlite_file(store)
    if database is not None and ARTIFACTS in place.parts:
        tail = place.parts[place.parts.index(ARTIFACTS) :]
        now = sorted(database.resolve().parent.joinpath(*tail).rglob(DESCRIPTION))
        action = f"if the project was moved, use --model {shlex.quote(str(now[0].parent))}" if now else action
    raise BundleError(name, f"no files at {place}, where MLflow recorded them", "a model there", action, path=name)


def _recorded_place(name: str) -> Path | None:
    """Return the local path of a model's files in MLflow's records; None if they are on a server, or unknown."""
    from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
    from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

    repository = ModelsArtifactRepository if name.startswith("models:/") else RunsArtifactRepository
    try:
        address = urlsplit(str(repository.get_underlying_uri(name)))
    except Exception:  # noqa: BLE001 - MLflow raises its own and SQLAlchemy's; the caller reports the first error
        return None
    return Path(url2pathname(address.path)) if address.scheme in ("", "file") else None
