"""Models from an MLflow registry: ``models:/tfclass@champion`` is a bundle like any other once it is fetched."""

import os
from pathlib import Path

from tfclass.bundle.bundle import DESCRIPTION, find_bundle
from tfclass.errors import BundleError

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
    import mlflow

    store = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').resolve()}"
    if store.startswith("sqlite:///") and not Path(store.removeprefix("sqlite:///")).exists():
        action = "set MLFLOW_TRACKING_URI, or work in the folder of mlflow.db"
        raise BundleError(name, f"no MLflow store at {store}", "one", action, path=name)
    mlflow.set_tracking_uri(store)
    try:
        folder = Path(mlflow.artifacts.download_artifacts(artifact_uri=name))  # type: ignore[attr-defined]
    except Exception as error:  # MLflow raises its own, SQLAlchemy's and those of the artifact store
        raise BundleError(name, f"nothing to fetch from {store} ({error})", "a model in it", path=name) from error
    # A logged model holds the bundle among its artifacts.
    inside = next((path.parent for path in sorted(folder.rglob(DESCRIPTION))), None)
    if inside is None:
        raise BundleError(name, "a model without a bundle", "one that tfclass logged", path=name)
    return inside
