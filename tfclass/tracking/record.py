"""The record of a run: what MLflow shows of it, as plain data in the run's folder, so that it can be logged later.

``tracking.json`` has everything but the files of the run, which lie beside it, and the values of each epoch of a
training or trial of a search, which are appended to ``history.jsonl``, one JSON object a line.
"""

import getpass
import itertools
import json
import logging
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from tfclass.bundle.description import read_description
from tfclass.config import TrackingConfig
from tfclass.errors import TrackingError
from tfclass.io.files import make_folder, whole_file
from tfclass.io.reading import plain_file

RECORD, HISTORY = "tracking.json", "history.jsonl"
_MAX_BYTES = 1 << 26
_OPTIONS = ConfigDict(extra="forbid", ser_json_inf_nan="constants")
_logger = logging.getLogger(__name__)


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass(config=_OPTIONS)
class Scores:
    """Values measured at one time, NaN left out; `model` is the digest of the logged bundle that they belong to."""

    values: dict[str, float]
    model: str = ""
    step: int = 0
    time: int = field(default_factory=now)

    def __post_init__(self) -> None:
        self.values = {name: value for name, value in self.values.items() if value == value}


@dataclass(config=_OPTIONS)
class Facts:
    """The facts that a run logs.

    Attributes
    ----------
    config : dict
        Nested; logged flattened as parameters, and whole as ``config.yaml``.
    documents : dict
        File name -> JSON values.
    datasets : list of dict
        See `dataset`.
    files : dict
        Name in the run's folder -> folder among the run's artifacts.
    bundle : str
        Folder of the bundle to log as a model; in a record, relative to the run's folder where it lies inside.
    validation_sha256 : str
        Digest of the validation proteins; with it, the model becomes a version of the registered model.
    note : str
        Description of the run, in Markdown.
    """

    tags: dict[str, str] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    documents: dict[str, Any] = field(default_factory=dict)
    datasets: list[dict[str, str]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    scores: list[Scores] = field(default_factory=list)
    bundle: str = ""
    bundle_sha256: str = ""
    validation_sha256: str = ""
    note: str = ""

    def add(self, other: "Facts") -> None:
        """Take over what another one has."""
        for name, mine in list(vars(self).items()):
            others = getattr(other, name)
            setattr(self, name, mine | others if isinstance(mine, dict) else mine + others)


@dataclass(config=_OPTIONS)
class Record:
    """A run: its facts, what identifies it, and what MLflow has of it.

    Attributes
    ----------
    parent, run_id : str
        Ids of MLflow runs: the one to show this one under, and this one; empty without one.
    started, ended : int
        Milliseconds since 1970.
    status : str
        How it ended, in MLflow's words; empty before.
    registered : str
        Outcome of registering the model, in words.
    is_tracked : bool
        Whether MLflow has everything.
    """

    config: TrackingConfig
    name: str
    facts: Facts
    parent: str = ""
    started: int = field(default_factory=now)
    status: str = ""
    ended: int = 0
    run_id: str = ""
    registered: str = ""
    is_tracked: bool = False

    def save(self, folder: Path) -> None:
        """Write the record into the run's folder."""
        make_folder(folder)
        with whole_file(folder / RECORD) as stream:
            stream.write(TypeAdapter(Record).dump_json(self, indent=1))


def as_saved(facts: Facts, folder: Path) -> Facts:
    """Return the facts of the run in a folder as they come back from a file: tuples are lists, and so on."""
    adapter = TypeAdapter(Facts)
    saved = adapter.validate_json(adapter.dump_json(facts, fallback=str))
    if saved.bundle:
        place, root = Path(saved.bundle).resolve(), folder.resolve()
        saved.bundle = str(place.relative_to(root) if place.is_relative_to(root) else place)
        saved.bundle_sha256 = read_description(place).sha256
    return saved


def read_record(folder: Path) -> Record:
    """Read the record of a run; `TrackingError` where there is none, or a damaged one."""
    path = folder / RECORD
    if not path.exists():
        raise TrackingError(f"{folder}: no {RECORD} in it; name the folder of a training, a report or a comparison")
    try:
        record = TypeAdapter(Record).validate_json(_content(path))
        if any(Path(name).name != name for name in record.facts.files):
            raise ValueError("a file outside the folder")
        return record
    except (TrackingError, ValueError) as error:
        raise TrackingError(f"{path}: damaged; restore or remove it") from error


def _content(path: Path) -> bytes:
    with plain_file(path, _MAX_BYTES, TrackingError, "restore or remove it") as stream:
        return stream.read(_MAX_BYTES)


def recorded(folder: Path) -> Record | None:
    """Read the record of a run, if there is one; warn of a damaged one."""
    try:
        return read_record(folder) if (folder / RECORD).exists() else None
    except TrackingError as error:
        _logger.warning("tfclass: %s", error)
        return None


def append_step(folder: Path, scores: Scores) -> None:
    """Append the values of a step to the history of a run."""
    line = json.dumps({"step": scores.step, "time": scores.time, **scores.values})
    with (folder / HISTORY).open("a+b") as stream:
        # A line that was being written when a process died must not swallow this one.
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1)
        stream.write(line.encode() + b"\n")


def read_history(folder: Path) -> list[Scores]:
    """Read the last values of each step of a run, in order; `TrackingError` where a line is damaged.

    A last line that was cut off is left out.
    """
    path = folder / HISTORY
    steps: dict[int, Scores] = {}
    number = 0
    try:
        lines = _content(path).split(b"\n")[:-1] if path.exists() else []
        for number, line in enumerate(lines, start=1):  # noqa: B007 - used where it fails
            values = TypeAdapter(dict[str, float]).validate_json(line)
            step, when = int(values.pop("step")), int(values.pop("time"))
            steps[step] = Scores(values, step=step, time=when)
    except (TrackingError, ValueError, LookupError, OverflowError) as error:
        raise TrackingError(f"{path}, line {number}: damaged; restore or remove it") from error
    return [steps[step] for step in sorted(steps)]


def dataset(frame: pd.DataFrame, *, source: str, name: str, context: str, digest: str) -> dict[str, str]:
    """Describe proteins that a run uses, as MLflow does.

    Parameters
    ----------
    context : str
        ``training``, ``validation`` or the split that was scored.
    digest : str
        Of the whole table; MLflow allows 36 characters.
    """
    columns = [column for column in ("id", "label", "cluster") if column in frame]
    schema = [{"type": "string", "name": column, "required": True} for column in columns]
    profile = {"num_rows": len(frame), "num_elements": len(frame) * len(columns)}
    texts = {"source": {"uri": source}, "schema": {"mlflow_colspec": schema}, "profile": profile}
    about = {"name": name, "digest": digest[:36], "source_type": "local", "context": context}
    return about | {key: json.dumps(value) for key, value in texts.items()}


def keep_untracked(folder: Path) -> None:
    """Copy a report that MLflow lacks aside, before another one takes its place, and warn of that."""
    record = recorded(folder)
    if record is None or record.is_tracked or not record.config.enabled:
        return
    taken = (folder.with_name(f"{folder.name}.untracked-{number}") for number in itertools.count(1))
    place = next(path for path in taken if not path.exists())
    shutil.copytree(folder, place)
    _logger.warning("tfclass: MLflow lacks what was in %s; to log it: tfclass track %s", folder, place)


def keep_bundle(folder: Path, record: Record) -> None:
    """Copy a bundle that MLflow lacks into the run's folder, if it lies elsewhere: the next run may replace it."""
    if Path(record.facts.bundle).is_absolute() and not record.is_tracked:
        shutil.copytree(record.facts.bundle, folder / "bundle", dirs_exist_ok=True)
        record.facts.bundle = "bundle"
        record.save(folder)


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


def origin_tags() -> dict[str, str]:
    """Return the user, the command and, where this tfclass runs from a checkout, its commit, by MLflow's names."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        # A container may run under a number that has no name.
        user = ""
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:2]]) if sys.argv[0] else "python"
    tags = {"mlflow.user": user, "mlflow.source.name": command, "mlflow.source.type": "LOCAL"}
    if commit := _git("rev-parse", "HEAD"):
        tags["mlflow.source.git.commit"] = commit
        tags["git_commit"] = commit[:12] + (" with changes" if _git("status", "--porcelain", "-uno") else "")
    return tags


def _git(*arguments: str) -> str:
    """Ask git about the folder that this package lies in; nothing where it is installed, or where there is no git."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        command = ["git", "-C", str(root), *arguments]
        # The git of the user's PATH is meant.
        asked = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
