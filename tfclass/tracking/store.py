"""The one place that writes to MLflow: it takes entries, and delivers each to the store.

An entry is a mapping of JSON values with ``kind`` and ``time`` (milliseconds since 1970), so that one that cannot be
delivered now can be kept in a file (`tfclass.tracking.journal`) and delivered later, by the same code. Delivering an
entry twice does no harm: MLflow takes a metric of the same time, step and value for the same one.
"""

import contextlib
import re
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from tfclass.config import TrackingConfig
from tfclass.tracking.access import ARTIFACTS, as_global, one_at_a_time, sqlite_file
from tfclass.tracking.journal import FOLDER, Entry

if TYPE_CHECKING:
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

_PER_CALL = 100
# The UI opens an experiment without this on its pages for language-model traces.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}
EXAMPLE = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
_PYFUNC = Path(__file__).parents[1] / "inference" / "pyfunc.py"


class Store:
    """An MLflow run to be, or one that is.

    Parameters
    ----------
    config : TrackingConfig
    uri : str

    Attributes
    ----------
    run_id : str
        Empty before an entry of kind ``start`` was delivered.
    said : str
        What registering the model came to, in words; empty before.
    """

    def __init__(self, config: TrackingConfig, uri: str) -> None:
        self.config, self.uri = config, uri
        self.run_id = self.said = ""
        self._monitor: SystemMetricsMonitor | None = None

    def deliver(self, entry: Entry) -> None:
        """Write an entry; the first one must be of kind ``start``.

        Raises
        ------
        Exception
            Whatever MLflow, its database or its artifact store raises.
        """
        getattr(self, f"_deliver_{entry['kind']}")(entry)

    def watch_machine(self, resumed: bool) -> None:
        """Record use of processor, memory, disk, network and GPU until `unwatch_machine`; nothing without psutil."""
        if not self.config.system_seconds:
            return
        with contextlib.suppress(Exception):
            from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

            seconds: Any = self.config.system_seconds
            self._monitor = SystemMetricsMonitor(
                self.run_id, sampling_interval=seconds, resume_logging=resumed, tracking_uri=self.uri
            )
            self._monitor.start()

    def unwatch_machine(self) -> None:
        """Stop recording the machine."""
        if self._monitor is not None:
            self._monitor.finish()
            self._monitor = None

    def _deliver_start(self, entry: Entry) -> None:
        from mlflow.entities import RunTag

        with one_at_a_time(self.uri, self.config.timeout):
            experiment_id = self._experiment(entry["config"]["experiment"])
        client = self._client()
        tags = {key: value for key, value in entry["tags"].items() if value}
        resume = self.run_id or entry["resume"]
        if self._exists(resume):
            client.update_run(resume, status="RUNNING")
            client.log_batch(resume, tags=[RunTag(key, value) for key, value in tags.items()])
            self.run_id = resume
            return
        if self._exists(entry["parent"]):
            tags["mlflow.parentRunId"] = entry["parent"]
        self.run_id = client.create_run(experiment_id, entry["time"], tags, entry["run_name"]).info.run_id

    def _deliver_end(self, entry: Entry) -> None:
        self._client().set_terminated(self.run_id, entry["status"], entry["time"])

    def _deliver_tags(self, entry: Entry) -> None:
        from mlflow.entities import RunTag

        tags = [RunTag(key, value) for key, value in entry["values"].items()]
        self._client().log_batch(self.run_id, tags=tags)

    def _deliver_parameters(self, entry: Entry) -> None:
        from mlflow.entities import Param

        parameters = [Param(_name(key), str(value)) for key, value in entry["values"].items()]
        for start in range(0, len(parameters), _PER_CALL):
            self._client().log_batch(self.run_id, params=parameters[start : start + _PER_CALL])

    def _deliver_metrics(self, entry: Entry) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(_name(key), value, entry["time"], entry["step"]) for key, value in entry["values"].items()]
        for start in range(0, len(metrics), _PER_CALL):
            self._client().log_batch(self.run_id, metrics=metrics[start : start + _PER_CALL])

    def _deliver_facts(self, entry: Entry) -> None:
        self._client().log_dict(self.run_id, entry["content"], entry["name"])

    def _deliver_dataset(self, entry: Entry) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        context = InputTag("mlflow.data.context", entry["context"])
        self._client().log_inputs(self.run_id, [DatasetInput(Dataset(**entry["dataset"]), [context])])

    def _deliver_file(self, entry: Entry) -> None:
        self._client().log_artifact(self.run_id, entry["path"], entry["folder"] or None)

    def _deliver_folder(self, entry: Entry) -> None:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(entry["path"])
            if (folder / FOLDER).exists():
                # A journal is about the run, and no part of it.
                ignored = shutil.ignore_patterns(FOLDER)
                folder = shutil.copytree(folder, Path(temporary) / "folder", ignore=ignored)
            self._client().log_artifacts(self.run_id, str(folder), entry["name"])

    def _deliver_model(self, entry: Entry) -> None:
        import mlflow

        from tfclass.bundle.bundle import load_bundle
        from tfclass.tracking.registration import Candidate, register_version, signature_of

        folder = Path(entry["bundle"])
        bundle = load_bundle(folder)
        example = pd.DataFrame({"id": ["ubiquitin"], "sequence": [EXAMPLE]})
        # `log_model` knows only the global address, and links the model only to the active run; `nested` allows for
        # one that the caller has open.
        with as_global(self.uri):
            with mlflow.start_run(run_id=self.run_id, nested=True, log_system_metrics=False):
                # The default torch flavour would export the graph for one device; this one is the Predictor itself.
                logged = mlflow.pyfunc.log_model(  # type: ignore[attr-defined]
                    name="model",
                    python_model=str(_PYFUNC),
                    artifacts={"bundle": entry["bundle"]},
                    signature=signature_of(bundle),
                    input_example=example,
                    pip_requirements=["tfclass"],
                )
            # Leaving the block ended the run.
            self._client().update_run(self.run_id, status="RUNNING")
            if entry["register"]:
                new = Candidate(entry["register"], logged.model_uri, self.run_id, folder, bundle)
                with one_at_a_time(self.uri, self.config.timeout):
                    self.said = register_version(new, entry["validation"], example)

    def _client(self) -> Any:  # noqa: ANN401 - importing the type takes seconds
        import mlflow

        return mlflow.MlflowClient(self.uri)

    def _exists(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            return bool(run_id) and self._client().get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException as error:
            # Any other code means that the store does not answer, not that it knows no such run.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return False
            raise

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        existing = self._client().get_experiment_by_name(name)
        if existing is not None:
            return existing.experiment_id
        # MLflow's own default is relative to wherever the UI is started; a server chooses for itself.
        database = sqlite_file(self.uri)
        location = (database.resolve().parent / ARTIFACTS).as_uri() if database else None
        try:
            return self._client().create_experiment(name, artifact_location=location, tags=_EXPERIMENT_TAGS)
        except MlflowException:
            # On a server, another process may have been faster.
            existing = self._client().get_experiment_by_name(name)
            if existing is None:
                raise
            return existing.experiment_id


def _name(key: str) -> str:
    """Give a key as MLflow takes it; it refuses all keys of a call for one with an odd character."""
    return re.sub(r"[^\w./: -]", "_", key, flags=re.ASCII)


def dataset_entity(frame: pd.DataFrame, source: str, name: str, digest: str) -> dict[str, Any]:
    """Describe a table as MLflow does: name, digest, source, schema and profile, all of them strings."""
    import mlflow

    columns = [column for column in ("id", "label", "cluster") if column in frame]
    with warnings.catch_warnings():
        # A local path could be either of two kinds of source to MLflow, which do the same.
        warnings.filterwarnings("ignore", message="The specified dataset source can be interpreted")
        # MLflow allows 36 characters of digest.
        data = mlflow.data.from_pandas(  # type: ignore[attr-defined]
            frame[columns], source=source, name=name, targets="label", digest=digest[:36]
        )
    return data.to_dict()
