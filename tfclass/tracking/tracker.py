"""The MLflow record of trainings and evaluations. A sink: nothing in the flow reads back from it, or waits for it long.

The default store is ``mlflow.db`` (SQLite) with artifacts in ``mlartifacts/``, both in the working directory and both
under absolute paths, so that a run made from any folder is shown by ``make ui``. What a store cannot take is kept in a
journal beside the run's other files, and `tfclass.tracking.delivery.replay` delivers it later.
"""

import contextlib
import json
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from tfclass.config import TrackingConfig, to_mapping
from tfclass.errors import OutputError, TrackingError
from tfclass.tracking.connection import short_waits
from tfclass.tracking.delivery import deliver, is_refusal, reason_of, send
from tfclass.tracking.journal import Entry, Journal
from tfclass.tracking.origin import origin_tags, tracking_uri, without_password
from tfclass.tracking.store import Store, dataset_entity

# What MLflow takes as a tag.
_LONGEST = 5000
# Packages with a database's driver, by the name that it is imported by.
_DRIVERS = {"psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
_logger = logging.getLogger(__name__)


class Tracker:
    """Records nothing; what is used when tracking is off, and the interface of `MlflowTracker`.

    Attributes
    ----------
    run_id : str
        Of the MLflow run; empty without one, or as long as MLflow could not be reached.
    said : str
        What registering the model came to, in words.
    """

    run_id = ""
    said = ""

    def configuration(self, config: Mapping[str, Any]) -> None:
        """Record a nested configuration, flattened as parameters and whole as a file."""

    def parameters(self, values: Mapping[str, object]) -> None:
        """Record what is fixed for the run, such as sizes."""

    def tags(self, values: Mapping[str, str]) -> None:
        """Record words to search runs by."""

    def facts(self, name: str, content: Mapping[str, Any]) -> None:
        """Record a JSON document under a file name."""

    def dataset(self, frame: pd.DataFrame, *, source: str, name: str, context: str, digest: str) -> None:
        """Record what data was used, and how (``training``, ``validation``, ``test``)."""

    def metrics(self, values: Mapping[str, float], step: int = 0, bundle: str = "") -> None:
        """Record numbers; those that are NaN are left out.

        With `bundle`, a digest, they are scores of the model that was logged from it, and shown on its page too.
        """

    def description(self, text: str) -> None:
        """Record what the run's page says first, in Markdown."""

    def file(self, path: Path, folder: str = "") -> None:
        """Record a file as it is, under its own name, in a folder of the run's."""

    def folder(self, folder: Path, name: str) -> None:
        """Record a folder of files."""

    def model(self, bundle: Path, validation: str = "") -> None:
        """Record a bundle as files and as an MLflow model that answers to ``mlflow.pyfunc.load_model``.

        With `validation`, the digest of the validation proteins, it becomes a version of the registered model that the
        configuration names.
        """


class MlflowTracker(Tracker):
    """Records into an MLflow run, or into a journal from the first record on that MLflow could not take.

    See `Tracker`, and `tracked` to get one.
    """

    def __init__(self, store: Store, journal: Journal | None) -> None:
        self._store, self._journal = store, journal
        self._start: Entry = {}
        self._has_refused = False
        self._down_since = float("-inf")
        self.is_down = self.was_interrupted = False

    @property
    def run_id(self) -> str:  # type: ignore[override] # noqa: D102 - inherited
        return self._store.run_id

    @property
    def said(self) -> str:  # type: ignore[override] # noqa: D102 - inherited
        return self._store.said

    def configuration(self, config: Mapping[str, Any]) -> None:  # noqa: D102 - inherited
        self.parameters(flatten(config))
        self.facts("config.yaml", config)

    def parameters(self, values: Mapping[str, object]) -> None:  # noqa: D102 - inherited
        self.record("parameters", values=dict(values))

    def tags(self, values: Mapping[str, str]) -> None:  # noqa: D102 - inherited
        self.record("tags", values=dict(values))

    def facts(self, name: str, content: Mapping[str, Any]) -> None:  # noqa: D102 - inherited
        self.record("facts", name=name, content=dict(content))

    def dataset(self, frame: pd.DataFrame, *, source: str, name: str, context: str, digest: str) -> None:  # noqa: D102
        self.record("dataset", dataset=dataset_entity(frame, source, name, digest), context=context)

    def metrics(self, values: Mapping[str, float], step: int = 0, bundle: str = "") -> None:  # noqa: D102 - inherited
        numbers = {name: float(value) for name, value in values.items() if value == value}
        self.record("metrics", values=numbers, step=step, bundle=bundle)

    def description(self, text: str) -> None:  # noqa: D102 - inherited
        self.tags({"mlflow.note.content": text[:_LONGEST]})

    def file(self, path: Path, folder: str = "") -> None:  # noqa: D102 - inherited
        self.record("file", path=str(path.resolve()), folder=folder)

    def folder(self, folder: Path, name: str) -> None:  # noqa: D102 - inherited
        self.record("folder", path=str(folder.resolve()), name=name)

    def model(self, bundle: Path, validation: str = "") -> None:  # noqa: D102 - inherited
        self.folder(bundle, "bundle")
        register = self._store.config.register if validation else ""
        self.record("model", bundle=str(bundle.resolve()), register=register, validation=validation)

    def record(self, kind: str, **content: object) -> None:
        """Deliver an entry to MLflow, or keep it in the journal.

        Raises
        ------
        TrackingError
            The driver of the database is not installed; nothing else is a reason to fail.
        """
        # As it would come back from a file: tuples become lists, and paths text.
        entry = json.loads(json.dumps({"kind": kind, "time": time.time_ns() // 1_000_000, **content}, default=str))
        if kind == "start":
            self._start = entry
        if self.is_down:
            self._keep(entry)
            return
        try:
            deliver(self._store, entry)
        except ModuleNotFoundError as error:
            # A database's driver; waiting does not help.
            package = _DRIVERS.get(error.name or "", error.name)
            where, action = without_password(self._store.uri), f"pip install {package}"
            raise TrackingError(f"MLflow at {where}", f"no {error.name} to reach it with", action=action) from error
        except KeyboardInterrupt:
            # Whoever does not want to wait for this record does not want to wait for the next one either.
            self.was_interrupted = True
            # A run that was not begun has nothing to record later.
            self._journal = None if kind == "start" else self._journal
            self._fall_back(entry, KeyboardInterrupt("interrupted before it answered"))
            raise
        except Exception as error:  # noqa: BLE001 - whatever goes wrong with a record, the training goes on
            if is_refusal(error) and self.run_id:
                self._warn_of_refusal(entry, error)
                return
            self._fall_back(entry, error)

    def go_down(self, error: BaseException) -> None:
        """Send no more to MLflow, and say so."""
        self.is_down, self._down_since = True, time.monotonic()
        goes_on = "nothing is recorded there" if self.was_interrupted else "this run goes on without it"
        if self._journal is not None:
            goes_on = f"to record it later: tfclass replay {self._journal.folder.parent}"
            goes_on = goes_on if self.was_interrupted else f"the run goes on; {goes_on}"
        where = without_password(self._store.uri)
        _logger.warning("tfclass: MLflow at %s: %s; %s", where, reason_of(error), goes_on)

    def may_be_back(self) -> bool:
        """Tell whether it is worth while to wait for MLflow once more: not as soon as it was waited for in vain."""
        return not self.was_interrupted and time.monotonic() - self._down_since > self._store.config.timeout

    def _fall_back(self, entry: Entry, error: BaseException) -> None:
        self.go_down(error)
        if entry["kind"] != "start":
            self._keep({**self._start, "resume": self.run_id})
        self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        if self._journal is None:
            return
        try:
            self._journal.append(entry)
        except (OSError, OutputError) as error:
            _logger.warning(
                "tfclass: %s cannot be written (%s); MLflow's record ends here", self._journal.folder, error
            )
            self._journal = None

    def _warn_of_refusal(self, entry: Entry, error: Exception) -> None:
        if not self._has_refused:
            where = without_password(self._store.uri)
            _logger.warning("tfclass: MLflow at %s refuses %s: %s", where, entry["kind"], reason_of(error))
        self._has_refused = True


@contextlib.contextmanager
def tracked(
    config: TrackingConfig,
    run_name: str,
    tags: Mapping[str, str],
    *,
    resume: str = "",
    parent: str = "",
    journal: Path | None = None,
    watch: bool = False,
) -> Iterator[Tracker]:
    """Open an MLflow run for the time of the block.

    It ends as ``FINISHED``, as ``KILLED`` when the block is interrupted, or as ``FAILED``. A store that cannot be
    reached is warned of once, in one line, and costs no more than that.

    Parameters
    ----------
    run_name : str
        Used when the configuration has none.
    tags : mapping of str to str
    resume : str
        Id of an interrupted run to go on with.
    parent : str
        Id of the run to show this one under; passed over when this store does not know it.
    journal : Path
        Where the folder with what MLflow could not take is made; without it, that is lost.
    watch : bool
        Whether use of the machine is recorded.

    Yields
    ------
    Tracker
        One that records nothing when tracking is off.

    Raises
    ------
    TrackingError
        The store's address is of a kind that MLflow does not write to.
    """
    if not config.enabled:
        yield Tracker()
        return
    config = replace(config, uri=tracking_uri(config))
    kept = Journal(journal) if journal else None
    with short_waits(config.timeout):
        store = Store(config, config.uri)
        tracker = MlflowTracker(store, kept)
        if kept:
            # An earlier part of this run may have something to deliver.
            error = send(store, kept)
            if error:
                tracker.go_down(error)
        name, all_tags = config.run_name or run_name, origin_tags() | dict(tags)
        written = to_mapping(replace(config, uri=without_password(config.uri)))
        about = {"config": written, "run_name": name, "tags": all_tags, "resume": resume, "parent": parent}
        tracker.record("start", **about)
        if watch and not tracker.is_down:
            store.watch_machine(resumed=bool(resume))
        status = "FAILED"
        try:
            yield tracker
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            if not tracker.is_down:
                store.unwatch_machine()
            tracker.record("end", status=status)
            if tracker.is_down and kept and tracker.may_be_back():
                send(store, kept)


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
