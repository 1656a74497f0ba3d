"""The folder of a training: its record, its checkpoints, and one training at a time."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tfclass.config import TrainConfig, to_mapping
from tfclass.errors import CheckpointError
from tfclass.files import make_folder, try_lock, whole_file
from tfclass.training.checkpoint import NAME as CHECKPOINT
from tfclass.training.start import Start

RUN_FILE = "run.json"


def make_run_folder(config: TrainConfig) -> Path:
    """Make the folder of a training; `CheckpointError` where another one was there before."""
    folder = Path(config.resume or config.run_dir)
    make_folder(folder)
    if not config.resume and (folder / CHECKPOINT).exists():
        action = f"resume it with resume={folder}, or choose another run_dir"
        raise CheckpointError(
            str(folder), "a training that was here before", "an empty folder", action, path=str(folder)
        )
    return folder


@contextlib.contextmanager
def alone_in(run_dir: Path) -> Iterator[None]:
    """Keep a second training out of the folder, whose checkpoints would replace those of the first."""
    lock = try_lock(run_dir / "training.lock")
    if lock is None:
        where, action = str(run_dir), "wait for it, or choose another run_dir"
        raise CheckpointError(where, "a training that is under way", "none", action, path=where)
    try:
        yield
    finally:
        lock.release()


def bundle_folder(config: TrainConfig) -> Path:
    """Give where the bundle goes."""
    return Path(config.bundle or Path(config.resume or config.run_dir) / "bundle")


def read_record(folder: Path) -> dict[str, Any]:
    """Read what `write_record` wrote; nothing where it did not."""
    path = folder / RUN_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_record(config: TrainConfig, run_id: str, start: Start | None) -> dict[str, Any]:
    """Write down what is trained, with what start, and its MLflow run; give that."""
    # Resuming may happen from another folder.
    saved = to_mapping(config)
    folder = Path(config.resume or config.run_dir)
    saved |= {"resume": "", "run_dir": str(folder), "bundle": str(bundle_folder(config).resolve())}
    saved |= {"corpus": saved["corpus"] | {"path": str(Path(config.corpus.path).resolve())}}
    content = (read_record(folder) if config.resume else {}) | {"mlflow_run_id": run_id, "config": saved}
    if start:
        content["start"] = {"sha256": start.digest, "copied": len(start.copied), "fresh": len(start.fresh)}
    with whole_file(folder / RUN_FILE) as stream:
        stream.write(json.dumps(content, indent=1).encode())
    return content
