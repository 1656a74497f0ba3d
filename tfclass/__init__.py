"""Predict which proteins are transcription factors.

Importing this loads nothing heavy; `Predictor` brings torch in when it is first asked for.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tfclass.inference.predictor import Predictor
    from tfclass.pipelines.estimator import TFClassifier
    from tfclass.sequences.fasta import read_fasta

__all__ = ["Predictor", "TFClassifier", "read_fasta", "__version__"]

__version__ = version("tfclass")


def locate_model(name: str) -> "Path":
    """Return the folder of a model, named as for ``tfclass predict --model``.

    Parameters
    ----------
    name : str
        A folder, a shipped name, or ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or ``runs:/RUN_ID/bundle``, which
        is fetched from the store that ``MLFLOW_TRACKING_URI`` names, else from ``mlflow.db`` in the working directory.
        Such a copy is removed when Python ends.

    Raises
    ------
    BundleError
        There is no such model.
    TrackingError
        The store is no database.
    """
    if name.startswith(("models:/", "runs:/")):
        from tfclass.tracking.registry import fetch_model

        return fetch_model(name)
    from tfclass.bundle.bundle import find_bundle

    return find_bundle(name)


# What is loaded when it is first asked for.
_PLACES = {
    "Predictor": "tfclass.inference.predictor",
    "TFClassifier": "tfclass.pipelines.estimator",
    "read_fasta": "tfclass.sequences.fasta",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as the language defines it
    if name not in _PLACES:
        raise AttributeError(f"module 'tfclass' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
