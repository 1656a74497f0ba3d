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
from tfclass.tracking.connection import ARTIFACTS, as_global, one_at_a_time, sqlite_file
from tfclass.tracking.experiment import experiment_tags, outdated_tags
from tfclass.tracking.journal import FOLDER, Entry

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

_PER_CALL = 100
EXAMPLE = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"
# Tag of a logged model: which bundle it was made from.
_DIGEST = "bundle_sha256"
_PYFUNC = Path(__file__).with_name("pyfunc.py")


class Store:
    """An MLflow run to be, or one that is.

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
        # Where a logged model may be that metrics belong to, and those that were found, by the bundle's digest.
        self._experiment_ids: list[str] = []
        self._model_ids: dict[str, str | None] = {}

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
        parent = self._active(entry["parent"])
        self._experiment_ids = list({experiment_id, parent.info.experiment_id if parent else experiment_id})
        if self._active(resume):
            client.update_run(resume, status="RUNNING")
            client.log_batch(resume, tags=[RunTag(key, value) for key, value in tags.items()])
            self.run_id = resume
            return
        if parent:
            tags["mlflow.parentRunId"] = entry["parent"]
        self.run_id = client.create_run(experiment_id, entry["time"], tags, entry["run_name"]).info.run_id
        # MLflow takes an empty answer for an empty run, and all that follows would be lost without a word.
        if not self.run_id:
            raise ValueError("an answer that names no run")

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

        model_id = self._model_id(entry.get("bundle", ""))
        metrics = [
            Metric(_name(key), value, entry["time"], entry["step"], model_id) for key, value in entry["values"].items()
        ]
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
                    # MLflow takes no other name than one without these.
                    name=re.sub(r"[/:.%\"']", "_", bundle.name) or "model",
                    python_model=str(_PYFUNC),
                    artifacts={"bundle": entry["bundle"]},
                    signature=signature_of(bundle),
                    input_example=example,
                    pip_requirements=["tfclass"],
                    params={"network": bundle.network, "corpus": bundle.provenance.get("corpus", {}).get("name", "")},
                    tags={_DIGEST: bundle.digest},
                    # MLflow takes the run's metrics of this step for the model's: none has it. Ours are linked by name.
                    step=-1,
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

    def _model_id(self, digest: str) -> str | None:
        """Find the logged model that was made from a bundle; None where there is none."""
        if digest and digest not in self._model_ids:
            found = self._client().search_logged_models(
                self._experiment_ids, filter_string=f"tags.{_DIGEST} = '{digest}'", max_results=1
            )
            self._model_ids[digest] = found[0].model_id if found else None
        return self._model_ids.get(digest)

    def _active(self, run_id: str) -> "Run | None":
        """Return a run that the store has; None for one that it does not have, or that was deleted."""
        from mlflow.exceptions import MlflowException

        if not run_id:
            return None
        try:
            run = self._client().get_run(run_id)
            return run if run.info.lifecycle_stage == "active" else None
        except MlflowException as error:
            # Any other code means that the store does not answer, not that it knows no such run.
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def _experiment(self, name: str) -> str:
        from mlflow.exceptions import MlflowException

        existing = self._client().get_experiment_by_name(name)
        if existing is not None:
            for key, value in outdated_tags(existing.tags).items():
                self._client().set_experiment_tag(existing.experiment_id, key, value)
            return existing.experiment_id
        # MLflow's own default is relative to wherever the UI is started; a server chooses for itself.
        database = sqlite_file(self.uri)
        location = (database.resolve().parent / ARTIFACTS).as_uri() if database else None
        try:
            return self._client().create_experiment(name, artifact_location=location, tags=experiment_tags())
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
