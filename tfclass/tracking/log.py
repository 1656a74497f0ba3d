"""Runs in MLflow: logged while they happen, or later from their folder, by the same code.

MLflow is a sink: nothing in the flow reads back from it, or waits for it long. A run that MLflow has in part is logged
whole: MLflow takes a metric of the same time, step and value for the same one.
"""

import contextlib
import logging
import re
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfclass.config import TrackingConfig
from tfclass.errors import TrackingError
from tfclass.tracking.connection import held, reason_of, short_waits, tracking_uri, without_password
from tfclass.tracking.experiment import active_run, open_experiment
from tfclass.tracking.record import (
    HISTORY,
    Facts,
    Record,
    Scores,
    append_step,
    as_saved,
    flatten,
    keep_bundle,
    now,
    origin_tags,
    read_history,
    read_record,
    recorded,
)

if TYPE_CHECKING:
    import mlflow

_PER_CALL = 100
_MAX_NOTE = 5000
# Packages with a database's driver, by the name that it is imported by.
_DRIVERS = {"psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
_logger = logging.getLogger(__name__)


class Run:
    """A run: what is logged goes into the record in its folder, and to MLflow as long as that can be reached."""

    def __init__(self, folder: Path, record: Record) -> None:
        self.folder, self.record = folder, record
        # The record's address has no password.
        self.uri = tracking_uri(record.config) if record.config.enabled else ""
        self.is_down = not record.config.enabled
        self._down_since = float("-inf")
        self._was_interrupted = False

    @property
    def run_id(self) -> str:
        """Id of the MLflow run; empty without one, or as long as MLflow could not be reached."""
        return self.record.run_id

    def log(self, facts: Facts) -> None:
        """Log more of the run."""
        facts = as_saved(facts, self.folder)
        self.record.facts.add(facts)
        self.record.save(self.folder)
        self.send(lambda: self._log(facts))

    def log_step(self, values: dict[str, float], step: int) -> None:
        """Log the values of an epoch or a trial."""
        scores = Scores(values, step=step)
        append_step(self.folder, scores)
        self.send(lambda: self._log(Facts(scores=[scores])))

    def log_all(self) -> None:
        """Log everything that is in the folder; raises whatever MLflow and its parts raise."""
        self._open()
        self._log(self.record.facts)
        self._log(Facts(scores=read_history(self.folder)))
        self._end()

    def send(self, action: Callable[[], None]) -> None:
        """Do something with MLflow; after an error, warn once, and send no more. Only a missing driver is an error."""
        if self.is_down:
            return
        try:
            self.in_turn(action)
        except ModuleNotFoundError as error:
            self.is_down = True
            where, package = f"MLflow at {without_password(self.uri)}", _DRIVERS.get(error.name or "", error.name)
            raise TrackingError(f"{where}: no {error.name} to reach it with; pip install {package}") from error
        except KeyboardInterrupt:
            self._was_interrupted = True
            self._go_down("interrupted before it answered")
            raise
        except Exception as error:  # noqa: BLE001 - whatever goes wrong with MLflow, the run goes on
            self._go_down(f"{reason_of(error)}; the run goes on")

    def in_turn(self, action: Callable[[], None]) -> None:
        """Do something; writers of a SQLite store that is locked are waited for, at most the timeout."""
        deadline = time.monotonic() + self.record.config.timeout
        while True:
            try:
                return action()
            except Exception as error:
                if "database is locked" not in str(error) or time.monotonic() > deadline:
                    raise

    def finish(self, status: str) -> None:
        """End the run; try MLflow once more where it is down, but not as soon as it was waited for in vain."""
        self.record.status, self.record.ended = status, now()
        self.record.save(self.folder)
        self.send(self._end)
        if not self.record.config.enabled or self.record.is_tracked:
            return
        if not self._was_interrupted and time.monotonic() - self._down_since > self.record.config.timeout:
            with contextlib.suppress(Exception):
                self.log_all()
        keep_bundle(self.folder, self.record)

    def _go_down(self, reason: str) -> None:
        self.is_down, self._down_since = True, time.monotonic()
        where, again = without_password(self.uri), f"tfclass track {shlex.quote(str(self.folder))}"
        _logger.warning("tfclass: MLflow at %s: %s; to log it later: %s", where, reason, again)

    @property
    def _client(self) -> "mlflow.MlflowClient":
        import mlflow

        return mlflow.MlflowClient(self.uri)

    def _open(self) -> None:
        """Go on in the run that MLflow has, or create it."""
        record = self.record
        with held(self.uri, record.config.timeout):
            # The first client of a store creates its tables.
            client = self._client
            experiment_id = open_experiment(client, record.config.experiment, self.uri)
        if active_run(client, self.run_id):
            client.update_run(self.run_id, status="RUNNING")
            return
        tags = {"mlflow.parentRunId": record.parent} if active_run(client, record.parent) else {}
        run_id = client.create_run(experiment_id, record.started, tags, record.name).info.run_id
        # MLflow takes an empty answer for an empty run, and all that follows would be lost without a word.
        if not run_id:
            raise ValueError("an answer that names no run")
        record.run_id, record.registered = run_id, ""
        record.save(self.folder)

    def _log(self, facts: Facts) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

        client, run_id, record = self._client, self.run_id, self.record
        for name, content in (({"config.yaml": facts.config} if facts.config else {}) | facts.documents).items():
            client.log_dict(run_id, content, name)
        for each in facts.datasets:
            about = {key: value for key, value in each.items() if key != "context"}
            context = InputTag("mlflow.data.context", each["context"])
            client.log_inputs(run_id, [DatasetInput(Dataset(**about), [context])])
        for name, place in facts.files.items():
            client.log_artifact(run_id, str(self.folder / name), place or None)
        if facts.bundle:
            from tfclass.tracking.registry import log_model

            record.registered = log_model(self.uri, self.folder, record)
            record.save(self.folder)
        registered = f"\n\nRegistered: {record.registered}" if facts.note and record.registered else ""
        tags = facts.tags | {"mlflow.note.content": (facts.note + registered)[:_MAX_NOTE]}
        models = {scores.model: self._model_id(scores.model) for scores in facts.scores}
        metrics = [
            Metric(_key(key), value, scores.time, scores.step, models[scores.model])
            for scores in facts.scores
            for key, value in scores.values.items()
        ]
        params = [Param(_key(key), str(value)) for key, value in (flatten(facts.config) | facts.params).items()]
        run_tags = [RunTag(key, value) for key, value in tags.items() if value]
        for start in range(0, max(len(metrics), len(params), len(run_tags)), _PER_CALL):
            part = slice(start, start + _PER_CALL)
            client.log_batch(run_id, metrics[part], params[part], run_tags[part])

    def _end(self) -> None:
        if self.record.status:
            self._client.set_terminated(self.run_id, self.record.status, self.record.ended)
            self.record.is_tracked = True
            self.record.save(self.folder)

    def _model_id(self, sha256: str) -> str | None:
        """Find the logged model of a bundle, in the experiment of this run or of its parent."""
        if not sha256:
            return None
        runs = (active_run(self._client, run_id) for run_id in (self.run_id, self.record.parent))
        experiments = list({run.info.experiment_id for run in runs if run})
        found = self._client.search_logged_models(experiments, f"tags.bundle_sha256 = '{sha256}'", max_results=1)
        return found[0].model_id if found else None


@contextlib.contextmanager
def tracked(
    config: TrackingConfig,
    folder: Path,
    name: str,
    facts: Facts,
    *,
    parent: str = "",
    resume: bool = False,
    watch: bool = False,
) -> Iterator[Run]:
    """Log a run for the time of the block.

    It ends as ``FINISHED``, as ``KILLED`` when the block is interrupted, or as ``FAILED``. A store that cannot be
    reached is warned of once, in one line, and costs no more than that.

    Parameters
    ----------
    folder : Path
        Gets the record, also where tracking is off, so that the run can be logged later.
    name : str
        Used when the configuration has none.
    resume : bool
        Whether to go on with the run that is recorded in `folder`.
    watch : bool
        Whether to log the use of the machine.

    Raises
    ------
    TrackingError
        The store's address is of a kind that MLflow does not write to.
    """
    record = Record(config, config.run_name or name, as_saved(facts, folder), parent)
    record.facts.tags = origin_tags() | facts.tags
    if not resume:
        (folder / HISTORY).unlink(missing_ok=True)
    elif before := recorded(folder):
        record = replace(before, config=config, facts=record.facts, status="", ended=0, is_tracked=False)
    run = Run(folder, record)
    record.config = replace(config, uri=without_password(run.uri or config.uri))
    record.save(folder)
    nothing = contextlib.nullcontext()
    with short_waits(config.timeout) if config.enabled else nothing:
        status = "FAILED"
        try:
            run.send(run.log_all)
            with _watched(run, resume) if watch and config.system_seconds and not run.is_down else nothing:
                yield run
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            run.finish(status)


def track(folder: Path) -> tuple[Record, bool]:
    """Log what MLflow lacks of a run that has ended, from its folder; return the record, and whether there was any.

    Raises
    ------
    TrackingError
        The folder has no record, or a damaged one, or MLflow cannot be used.
    """
    record = read_record(folder)
    if not record.status:
        # It was killed by force.
        record.status, record.ended = "KILLED", now()
    record.config = replace(record.config, enabled=True)
    run = Run(folder, record)
    with short_waits(record.config.timeout):
        try:
            if record.is_tracked and active_run(run._client, run.run_id):
                return record, False
            run.in_turn(run.log_all)
        except TrackingError:
            raise
        except Exception as error:  # MLflow raises its own, SQLAlchemy's and those of the artifact store
            where, action = without_password(run.uri), "start it, or name another with MLFLOW_TRACKING_URI"
            raise TrackingError(f"MLflow at {where}: {reason_of(error)}; {action}") from error
    return record, True


@contextlib.contextmanager
def _watched(run: Run, resume: bool) -> Iterator[None]:
    """Log use of processor, memory, disk, network and GPU for the time of the block; nothing without psutil."""
    monitor: Any = None
    seconds: Any = run.record.config.system_seconds
    with contextlib.suppress(Exception):
        from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

        monitor = SystemMetricsMonitor(run.run_id, seconds, resume_logging=resume, tracking_uri=run.uri)
        monitor.start()
    try:
        yield
    finally:
        if monitor and not run.is_down:
            monitor.finish()


def _key(name: str) -> str:
    """Return a key as MLflow takes it; it refuses all keys of a call for one with an odd character."""
    return re.sub(r"[^\w./: -]", "_", name, flags=re.ASCII)
