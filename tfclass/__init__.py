"""Predict which proteins are transcription factors.

Importing this loads nothing heavy; `Predictor` brings torch in when it is first asked for.
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from tfclass.inference.predictor import Predictor
    from tfclass.sequences.fasta import read_fasta

__all__ = ["Predictor", "load_model", "read_fasta", "__version__"]

__version__ = version("tfclass")


def load_model(name: str, **options: Any) -> "Predictor":  # noqa: ANN401
    """Load a model by folder, by the name of a shipped one, or by its address in MLflow.

    Parameters
    ----------
    name : str
        A folder, a shipped name, or ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or ``runs:/RUN_ID/bundle``, which
        is fetched from the store that ``MLFLOW_TRACKING_URI`` names, else from ``mlflow.db`` in the working directory.
    **options
        See `Predictor.load`.

    Raises
    ------
    BundleError
        There is no such model, or it cannot be used.
    TrackingError
        The store is no database.
    """
    from tfclass.inference.predictor import Predictor

    return Predictor.load(locate_model(name), **options)


def locate_model(name: str) -> "Path":
    """Return the folder of a model; see `load_model`. One from MLflow is a copy that is removed when Python ends."""
    if name.startswith(("models:/", "runs:/")):
        from tfclass.tracking.registry import fetch_model

        return fetch_model(name)
    from tfclass.bundle.bundle import find_bundle

    return find_bundle(name)


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as the language defines it
    if name == "Predictor":
        from tfclass.inference.predictor import Predictor

        return Predictor
    if name == "read_fasta":
        from tfclass.sequences.fasta import read_fasta

        return read_fasta
    raise AttributeError(f"module 'tfclass' has no attribute {name!r}")
