"""The folder of a training: its record, and a lock that keeps a second training out."""

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tfclass.config import TrainConfig, from_mapping, to_mapping
from tfclass.errors import CheckpointError, ConfigError
from tfclass.io.files import make_folder, try_lock, whole_file
from tfclass.io.reading import plain_file
from tfclass.overrides import override
from tfclass.training.checkpoint import NAME as CHECKPOINT
from tfclass.training.init_from import WarmStart

_log = logging.getLogger(__name__)
RUN_FILE = "run.json"
_MOST_BYTES = 1 << 24


def make_run_folder(config: TrainConfig) -> Path:
    """Make the folder of a training; `CheckpointError` where another one, or something else, was there before."""
    folder = run_folder(config)
    make_folder(folder)
    read_record(folder)
    if not config.resume and (folder / CHECKPOINT).exists():
        action = f"resume it with {override('resume', str(folder))}, or choose another run_dir"
        raise CheckpointError(f"{folder}: found a training that was here before; expected an empty folder; {action}")
    return folder


@contextlib.contextmanager
def alone_in(run_dir: Path) -> Iterator[None]:
    """Keep a second training out of the folder, whose checkpoints would replace those of the first."""
    lock = try_lock(run_dir / "training.lock")
    if lock is None:
        found = f"{run_dir}: found a training that is under way; expected none"
        raise CheckpointError(f"{found}; wait for it, or choose another run_dir")
    try:
        yield
    finally:
        lock.release()


def has_checkpoint(config: TrainConfig) -> bool:
    """Return whether a training that is resumed has a checkpoint, or was interrupted before the first one.

    Raises
    ------
    CheckpointError
        There is none, and the training is finished.
    """
    folder = Path(config.resume)
    if not config.resume or (folder / CHECKPOINT).exists():
        return bool(config.resume)
    if (folder / "bundle").exists():
        found = f"{folder / CHECKPOINT}: found no checkpoint, and a finished training"
        raise CheckpointError(f"{found}; name the folder of an interrupted run")
    _log.warning("%s: no checkpoint yet; training starts at the beginning", folder)
    return False


def run_folder(config: TrainConfig) -> Path:
    """Return the folder of a training, which may be an interrupted one's."""
    return Path(config.resume or config.run_dir)


def bundle_folder(config: TrainConfig) -> Path:
    """Return where the bundle goes."""
    return Path(config.bundle or run_folder(config) / "bundle")


def initial_model(folder: Path) -> dict[str, Any]:
    """Return what a training wrote down of the model that it began from; nothing where it began from none."""
    return read_record(folder).get("init_from", {})


def read_record(folder: Path) -> dict[str, Any]:
    """Read what a training wrote down in its folder; nothing where there is none.

    Raises
    ------
    CheckpointError
        It cannot be read.
    """
    path = folder / RUN_FILE
    action = "choose another folder, or remove this one"
    try:
        if not path.exists():
            return {}
        with plain_file(path.resolve(), _MOST_BYTES, CheckpointError, action) as stream:
            content = json.loads(stream.read(_MOST_BYTES).decode())
        if not isinstance(content["config"], dict) or not isinstance(content.get("init_from", {}), dict):
            raise ValueError("values of other types")
    except (OSError, CheckpointError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{folder}: found no readable {RUN_FILE}; {action}") from error
    return content


def newest_run(folder: Path) -> Path | None:
    """Find the folder of the training that began last, up to two levels below a folder; None where there is none."""
    records = [path for pattern in ("*", "*/*") for path in folder.glob(f"{pattern}/{RUN_FILE}") if path.is_file()]
    for path in sorted(records, key=lambda path: path.stat().st_mtime, reverse=True):
        with contextlib.suppress(CheckpointError):
            read_record(path.parent)
            return path.parent
    return None


def resumed_config(folder: Path) -> TrainConfig:
    """Read the configuration of an interrupted training, for the place where its folder is now.

    Raises
    ------
    CheckpointError
        The folder has no record of a training, or one that was edited.
    """
    record = read_record(folder)
    if not record:
        raise CheckpointError(_nothing_to_resume(folder))
    try:
        return from_mapping(TrainConfig, moved_config(folder, record["config"]))
    except ConfigError as error:
        raise CheckpointError(f"{folder / RUN_FILE}, {error}; restore the file, or start anew") from None


def moved_config(folder: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded configuration for the place where its folder is now.

    A bundle or a table inside the folder is looked for inside it, also where the folder was moved or copied; one
    elsewhere stays where it was.
    """
    before = config.get("run_dir")

    def moved(place: Any) -> Any:  # noqa: ANN401 - of whatever type it is, which is checked later
        if isinstance(place, str) and isinstance(before, str) and Path(place).is_relative_to(before):
            return str(folder / Path(place).relative_to(before))
        return place

    corpus = config.get("corpus")
    if isinstance(corpus, dict):
        corpus = corpus | {"path": moved(corpus.get("path"))}
    changed = {"bundle": moved(config.get("bundle", "")), "resume": str(folder), "corpus": corpus}
    return {**config, **{key: value for key, value in changed.items() if value is not None}}


def _nothing_to_resume(folder: Path) -> str:
    found = f"{folder}: found no {RUN_FILE}"
    if newest := newest_run(folder):
        resume = override("resume", str(newest))
        return f"{found}: runs are below it; resume the newest one with tfclass train {resume}"
    if folder.is_dir():
        anew = override("run_dir", str(folder))
        return f"{found}: nothing was trained there yet; start anew with tfclass train {anew} and the options of before"
    return f"{found}; name the folder of an interrupted run"


def write_record(config: TrainConfig, start: WarmStart | None) -> None:
    """Write down what is trained, and from what start."""
    # Resuming may happen from another folder.
    saved = to_mapping(config)
    folder = run_folder(config)
    saved |= {"resume": "", "run_dir": str(folder.resolve()), "bundle": str(bundle_folder(config).resolve())}
    saved |= {"corpus": saved["corpus"] | {"path": str(Path(config.corpus.path).resolve())}}
    content: dict[str, Any] = {"config": saved}
    if start:
        content["init_from"] = {"sha256": start.digest, "copied": len(start.copied), "fresh": len(start.fresh)}
    with whole_file(folder / RUN_FILE) as stream:
        stream.write(json.dumps(content, indent=1).encode())
