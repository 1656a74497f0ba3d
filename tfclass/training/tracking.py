"""The MLflow record of trainings and evaluations. A sink: nothing in the flow reads back from it.

The default store is ``mlflow.db`` (SQLite) with artifacts in ``mlartifacts/``, both in the working directory and both
under absolute paths, so that a run made from any folder is shown by ``make ui``.
"""

import contextlib
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tfclass.config import TrackingConfig
from tfclass.errors import TrackingError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PARAMS_PER_CALL = 100
# The UI opens an experiment without this on its pages for language-model traces.
_KIND = {"mlflow.experimentKind": "custom_model_development"}
_EXAMPLE = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
_PYFUNC = Path(__file__).parents[1] / "inference" / "pyfunc.py"


class Tracker:
    """Records nothing; what is used when tracking is off, and the interface of `MlflowTracker`."""

    run_id = ""

    def configuration(self, config: Mapping[str, Any]) -> None:
        """Record a nested configuration, flattened as parameters and whole as a file."""

    def parameters(self, values: Mapping[str, object]) -> None:
        """Record what is fixed for the run, such as sizes."""

    def facts(self, name: str, content: Mapping[str, Any]) -> None:
        """Record a JSON document under a file name."""

    def dataset(self, frame: pd.DataFrame, *, source: str, name: str, context: str, digest: str) -> None:
        """Record what data was used, and how (``training``, ``validation``, ``test``)."""

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Record numbers; those that are NaN are left out."""

    def figure(self, figure: "Figure", name: str) -> None:
        """Record a figure as ``figures/name.png``."""

    def folder(self, folder: Path, name: str) -> None:
        """Record a folder of files."""

    def model(self, bundle: Path) -> None:
        """Record a bundle as files and as an MLflow model that answers to ``mlflow.pyfunc.load_model``."""


class MlflowTracker(Tracker):
    """Records into the active MLflow run; see `Tracker`, and `tracked` to get one."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    def configuration(self, config: Mapping[str, Any]) -> None:  # noqa: D102 - inherited
        import mlflow

        self.parameters(flatten(config))
        mlflow.log_dict(dict(config), "config.yaml")

    def parameters(self, values: Mapping[str, object]) -> None:  # noqa: D102 - inherited
        import mlflow

        flat = list(values.items())
        for start in range(0, len(flat), _PARAMS_PER_CALL):
            mlflow.log_params(dict(flat[start : start + _PARAMS_PER_CALL]))

    def facts(self, name: str, content: Mapping[str, Any]) -> None:  # noqa: D102 - inherited
        import mlflow

        mlflow.log_dict(dict(content), name)

    def dataset(self, frame: pd.DataFrame, *, source: str, name: str, context: str, digest: str) -> None:  # noqa: D102
        import mlflow

        columns = [column for column in ("id", "label", "cluster") if column in frame]
        with warnings.catch_warnings():
            # A local path could be either of two kinds of source to MLflow, which do the same.
            warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted")
            # MLflow allows 36 characters of digest.
            data = mlflow.data.from_pandas(  # type: ignore[attr-defined]
                frame[columns], source=source, name=name, targets="label", digest=digest[:36]
            )
        mlflow.log_input(data, context=context)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:  # noqa: D102 - inherited
        import mlflow

        mlflow.log_metrics({name: value for name, value in values.items() if value == value}, step=step)

    def figure(self, figure: "Figure", name: str) -> None:  # noqa: D102 - inherited
        import mlflow

        mlflow.log_figure(figure, f"figures/{name}.png")

    def folder(self, folder: Path, name: str) -> None:  # noqa: D102 - inherited
        import mlflow

        mlflow.log_artifacts(str(folder), name)

    def model(self, bundle: Path) -> None:  # noqa: D102 - inherited
        import mlflow
        from mlflow.models import ModelSignature
        from mlflow.types.schema import ColSpec, Schema

        self.folder(bundle, "bundle")
        inputs = Schema([ColSpec("string", "id"), ColSpec("string", "sequence")])
        # The default torch flavour would export the graph for one device; this one is the Predictor itself.
        mlflow.pyfunc.log_model(  # type: ignore[attr-defined]
            name="model",
            python_model=str(_PYFUNC),
            artifacts={"bundle": str(bundle)},
            signature=ModelSignature(inputs=inputs),
            input_example=pd.DataFrame({"id": ["ubiquitin"], "sequence": [_EXAMPLE]}),
            pip_requirements=["tfclass"],
        )


@contextlib.contextmanager
def tracked(
    config: TrackingConfig, run_name: str, tags: Mapping[str, str], *, resume: str = "", parent: str = ""
) -> Iterator[Tracker]:
    """Open an MLflow run for the time of the block.

    Parameters
    ----------
    config : TrackingConfig
    run_name : str
        Used when the configuration has none.
    tags : mapping of str to str
    resume : str
        Id of an interrupted run to go on with.
    parent : str
        Id of the run to show this one under; passed over when this store does not know it.

    Yields
    ------
    Tracker
        One that records nothing when tracking is off.

    Raises
    ------
    TrackingError
        The store cannot be used.
    """
    if not config.enabled:
        yield Tracker()
        return
    uri = tracking_uri(config)
    # Nothing may go out on the network, and MLflow's git probe may not warn where there is no git.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        mlflow.set_tracking_uri(uri)
        with _one_at_a_time(uri):
            experiment_id = _experiment(config.experiment, uri)
        run = mlflow.start_run(
            run_id=resume if _exists(resume) else None,
            parent_run_id=parent if _exists(parent) else None,
            experiment_id=experiment_id,
            run_name=None if _exists(resume) else config.run_name or run_name,
            tags=dict(tags),
        )
    except MlflowException as error:
        action = "check tracking.uri and MLFLOW_TRACKING_URI, or say tracking=off"
        raise TrackingError(f"MLflow at {uri}", str(error), "a usable store", action, uri=uri) from error
    with run:
        yield MlflowTracker(run.info.run_id)


def tracking_uri(config: TrackingConfig) -> str:
    """Give the store's URI: ``MLFLOW_TRACKING_URI``, else the configuration's, else SQLite in the working directory.

    Raises
    ------
    TrackingError
        It is a folder or a ``file:`` URI, which MLflow no longer writes to.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or config.uri
    if not uri:
        return f"sqlite:///{Path('mlflow.db').resolve()}"
    if "://" not in uri or uri.startswith("file:"):
        action = f"use sqlite:///{Path('mlflow.db').resolve()}"
        raise TrackingError("tracking.uri", repr(uri), "a database or a server", action, uri=uri)
    return uri


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into one, the keys joined by dots.

    Examples
    --------
    >>> flatten({"model": {"hidden": 128}})
    {'model.hidden': 128}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _one_at_a_time(uri: str) -> contextlib.AbstractContextManager[object]:
    """Hold a lock while a new SQLite store gets its tables: two processes that both make them break each other."""
    if not uri.startswith("sqlite:///"):
        return contextlib.nullcontext()
    from filelock import FileLock

    return FileLock(f"{uri.removeprefix('sqlite:///')}.lock")


def _experiment(name: str, uri: str) -> str:
    import mlflow

    existing = mlflow.get_experiment_by_name(name)
    if existing is not None:
        return existing.experiment_id
    # MLflow's own default is relative to wherever the UI is started; a server chooses for itself.
    local = uri.startswith("sqlite:")
    folder = Path(uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts"
    return mlflow.create_experiment(name, artifact_location=folder.as_uri() if local else None, tags=_KIND)


def _exists(run_id: str) -> bool:
    import mlflow
    from mlflow.exceptions import MlflowException

    if not run_id:
        return False
    try:
        mlflow.MlflowClient().get_run(run_id)
    except MlflowException:
        return False
    return True
