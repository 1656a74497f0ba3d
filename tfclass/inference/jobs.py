"""Prediction in parts: chunks of the input, one Parquet file each; what is finished is not done again.

A part carries the digest of its chunk and of the job (model, channel, threshold, version) in its metadata, so that a
part of another input or model is never taken for one of this. Another name, a link, or a file without that metadata is
never touched. Parts appear whole or not at all.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

from tfclass import __version__
from tfclass.bundle.bundle import load_bundle
from tfclass.environment import at_most_cores
from tfclass.errors import BundleError, OutputError
from tfclass.inference.predictor import Predictor
from tfclass.inference.rows import Prediction
from tfclass.inference.windows import OnWindow, SeenIds, windows
from tfclass.inference.writers import write_parquet
from tfclass.io.files import make_folder, try_lock, whole_file
from tfclass.models.forward import Precision
from tfclass.sequences.fasta import Record

if TYPE_CHECKING:
    import pyarrow as pa

# Residues and records in a chunk: half a minute of work, a few megabytes to hand to a worker.
CHUNK_RESIDUES = 4_000_000
_CHUNK_RECORDS = 200_000
# Key of the metadata that every part has.
_MARK = "tfclass_part"
_NAME = re.compile(r"part-[0-9]{5,}\.parquet")
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_LOCK = ".tfclass.lock"


@dataclass(frozen=True)
class Job:
    """The settings of a prediction, in a form that travels to other processes and machines.

    Attributes
    ----------
    folder : str
        Of the bundle; every worker must see it.
    digest : str
        Of the bundle.
    threads : int
        Of each worker; 0 leaves the choice to torch.
    threshold, device, precision, cpu_fallback, prevalence, channel, description
        See `Predictor`.
    """

    folder: str
    digest: str
    threshold: float | str | None = None
    device: str = "cpu"
    threads: int = 0
    precision: Precision = "float32"
    cpu_fallback: bool = False
    prevalence: float | Literal["auto"] | None = None
    channel: str | None = None
    description: bool = False

    @property
    def key(self) -> str:
        """Digest of the settings that change the rows."""
        settings = {name: value for name, value in asdict(self).items() if name not in ("folder", "device", "threads")}
        return hashlib.sha256(json.dumps([__version__, settings]).encode()).hexdigest()


class Chunk(NamedTuple):
    """Records that make one part.

    Attributes
    ----------
    repeated : list of bool
        Which have an id that an earlier record of the input had.
    digest : str
        SHA-256 of all of it.
    """

    number: int
    records: list[Record]
    repeated: list[bool]
    digest: str


class _Part(NamedTuple):
    path: Path
    digest: str
    ids: list[str]
    future: "Future[None] | None"


def predict_in_parts(
    records: Iterable[Record],
    job: Job,
    folder: Path,
    executor: Executor | None = None,
    *,
    in_flight: int = 0,
    chunk_residues: int = CHUNK_RESIDUES,
    on_progress: OnWindow = None,
) -> Iterator[Prediction]:
    """Score records part by part.

    Parameters
    ----------
    job : Job
        Settings of every part.
    folder : Path
        Gets ``part-00000.parquet`` and so on. Parts of this very input and job that are there are kept; others of those
        names are replaced or, past the last, removed. One run at a time.
    executor : Executor, optional
        Computes the parts; this process if not given.
    in_flight : int
        Most chunks that wait in memory, with the executor or for their rows to be taken.
    chunk_residues : int
        Least residues of a chunk.
    on_progress : callable, optional
        As `Predictor.on_progress`; without an executor.

    Yields
    ------
    Prediction
        One per record, in the same order, for `Predictor.settled`; each part's once it is complete.

    Raises
    ------
    OutputError
        The folder cannot be written, another run uses it, or a file that is no part has the name of one.
    """
    # Workers may stand in another folder.
    folder = folder.resolve()
    make_folder(folder)
    with _held_alone(folder):
        waiting: deque[_Part] = deque()
        names = set()
        for chunk in chunks(records, chunk_residues):
            path, future = folder / f"part-{chunk.number:05d}.parquet", None
            names.add(path.name)
            if os.path.lexists(path) and not _is_part(path):
                found = "found a file that is no part, or is damaged beyond recognition"
                expected = "expected a part that tfclass wrote; move it away, or name another folder"
                raise OutputError(f"{path}: {found}; {expected}")
            if not is_finished(path, chunk.digest, job):
                if executor is None:
                    score_chunk(job, chunk, str(path), on_progress)
                else:
                    future = executor.submit(score_chunk, job, chunk, str(path))
            waiting.append(_Part(path, chunk.digest, [record.id for record in chunk.records], future))
            while len(waiting) > in_flight:
                yield from _rows(waiting.popleft(), job)
        while waiting:
            yield from _rows(waiting.popleft(), job)
        _remove_parts(folder, keep=names)


def remove_folder(folder: Path) -> None:
    """Remove the parts, and the folder if nothing else is in it."""
    _remove_parts(folder)
    (folder / _LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def chunks(records: Iterable[Record], chunk_residues: int) -> Iterator[Chunk]:
    """Cut records into chunks, the same ones for the same input."""
    seen = SeenIds()
    held: list[Record] = []
    repeated: list[bool] = []
    number = residues = 0
    for window in windows(records):
        held += window
        repeated += seen.add([record.id for record in window])
        residues += sum(len(record.sequence) for record in window)
        if residues >= chunk_residues or len(held) >= _CHUNK_RECORDS:
            yield _chunk(number, held, repeated)
            held, repeated, number, residues = [], [], number + 1, 0
    if held:
        yield _chunk(number, held, repeated)


def is_finished(path: Path, digest: str, job: Job) -> bool:
    """Return whether a part is there, undamaged, and was made from the chunk of this digest by this job."""
    import pyarrow as pa

    try:
        return _is_of(_read(path), digest, job)
    except (OSError, ValueError, TypeError, pa.ArrowException):
        return False


def score_chunk(job: Job, chunk: Chunk, path: str, on_progress: OnWindow = None) -> None:
    """Make one part; runs in a worker."""
    predictor = _predictor(job)
    predictor.on_progress = on_progress

    def rows() -> Iterator[Prediction]:
        start = 0
        for window in windows(chunk.records):
            yield from predictor.predict_window(window, chunk.repeated[start : start + len(window)])
            start += len(window)

    facts = {**asdict(job), "chunk": chunk.digest, "job": job.key, _MARK: __version__}
    with whole_file(Path(path)) as stream:
        write_parquet(rows(), stream, facts, predictor.columns)


@lru_cache(maxsize=1)
def _predictor(job: Job) -> Predictor:
    # Kept from chunk to chunk: loading takes longer than scoring a small one.
    settings = asdict(job)
    folder, digest, threads = (settings.pop(name) for name in ("folder", "digest", "threads"))
    if threads:
        torch.set_num_threads(at_most_cores(threads))
    bundle = load_bundle(Path(folder))
    if bundle.digest != digest:
        raise BundleError(f"{folder}: found another model than the one this prediction began with")
    return Predictor(bundle, **{**settings, "device": torch.device(job.device)})


def _chunk(number: int, records: list[Record], repeated: list[bool]) -> Chunk:
    digest = hashlib.sha256()
    for record, again in zip(records, repeated, strict=True):
        header = [record.id, record.description]
        text = "\0".join([*header, record.sequence, str(again), *record.notes, record.problem, str(record.left_out)])
        digest.update(f"{text}\n".encode("utf-8", "surrogatepass"))
    return Chunk(number, records, repeated, digest.hexdigest())


def _rows(part: _Part, job: Job) -> Iterator[Prediction]:
    if part.future is not None:
        part.future.result()
    table = _read(part.path)
    if not _is_of(table, part.digest, job) or table.num_rows != len(part.ids):
        raise OutputError(f"{part.path}: found another run's part; expected that of this run; name another folder")
    names = iter(part.ids)
    for group in table.to_batches(max_chunksize=10_000):
        for row in group.to_pylist():
            # Parquet holds UTF-8 only; an id is given as it came.
            yield Prediction.of({**row, "id": next(names)})


def _read(path: Path) -> "pa.Table":
    import pyarrow.parquet as pq

    return pq.read_table(path, page_checksum_verification=True, partitioning=None)  # type: ignore[arg-type]


def _is_of(table: "pa.Table", digest: str, job: Job) -> bool:
    metadata = table.schema.metadata or {}
    return (metadata.get(b"chunk"), metadata.get(b"job")) == (digest.encode(), job.key.encode())


@contextlib.contextmanager
def _held_alone(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder; `OutputError` where one is at work there."""
    lock = try_lock(folder / _LOCK)
    if lock is None:
        action = "wait for it, or name another folder; shards need one each"
        raise OutputError(f"{folder}: found another run that uses it; expected a folder of its own; {action}")
    try:
        yield
    finally:
        lock.release()


def _remove_parts(folder: Path, keep: Collection[str] = ()) -> None:
    """Remove parts, of any run, but for those of some names."""
    for path in folder.glob("part-*"):
        if path.name not in keep and _is_part(path):
            path.unlink()


def _is_part(path: Path) -> bool:
    """Return whether a file is a part: by its name, a plain file and no link, with the metadata of one."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not _NAME.fullmatch(path.name) or not stat.S_ISREG(path.lstat().st_mode):
        return False
    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, ValueError, TypeError, pa.ArrowException):
        return False
    digests = (metadata.get(b"chunk", b""), metadata.get(b"job", b""))
    return _MARK.encode() in metadata and all(_DIGEST.fullmatch(digest) for digest in digests)
