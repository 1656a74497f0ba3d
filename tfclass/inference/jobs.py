"""Prediction in parts: chunks of the input, one Parquet file each, on any executor; what is finished is not done again.

A part carries the digest of its chunk and of the job (model, evidence, threshold, version) in its metadata, so a part
of another input or model is never taken for one of this. Another name, a link, or a file without that metadata is never
touched. Parts appear whole or not at all.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, ParamSpec, TypeVar

import torch

from tfclass import __version__
from tfclass.bundle.bundle import load_bundle
from tfclass.config import Channel
from tfclass.environment import at_most_cores
from tfclass.errors import BundleError, OutputError
from tfclass.inference.duplicates import SeenIds
from tfclass.inference.parts import MARK, held_alone, refuse_foreign, remove_parts
from tfclass.inference.predictor import Predictor, windows
from tfclass.inference.rows import Prediction
from tfclass.inference.writers import write_parquet
from tfclass.io.files import make_folder, whole_file
from tfclass.models.forward import Precision
from tfclass.sequences.fasta import Record

if TYPE_CHECKING:
    import pyarrow as pa

# Residues and records in a chunk: half a minute of work, a few megabytes to hand to a worker.
CHUNK_RESIDUES = 4_000_000
_CHUNK_RECORDS = 200_000

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """What every part is made with, in a form that travels to other processes and machines.

    Attributes
    ----------
    folder : str
        Of the bundle; every worker must see it.
    digest : str
        Of the bundle.
    threshold, prevalence
        As they were asked for; see `Predictor`.
    threads : int
        Of each worker; 0 leaves the choice to torch.
    precision, cpu_fallback, evidence
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
    evidence: Channel | None = None

    @property
    def key(self) -> str:
        """Digest of what decides the rows."""
        decides = [
            __version__,
            self.digest,
            self.threshold,
            self.precision,
            self.cpu_fallback,
            self.prevalence,
            self.evidence,
        ]
        return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


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


class InProcess(Executor):
    """Runs what is submitted at once, here."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Call the function and give its outcome as a future."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - raised by `future.result()`
            future.set_exception(error)
        return future


def predict_in_parts(
    records: Iterable[Record],
    job: Job,
    folder: Path,
    executor: Executor,
    *,
    in_flight: int = 1,
    chunk_residues: int = CHUNK_RESIDUES,
) -> Iterator[Prediction]:
    """Score records part by part.

    Parameters
    ----------
    folder : Path
        Gets ``part-00000.parquet`` and so on. Parts of this very input and job that are there are kept; others of those
        names are replaced or, past the last, removed. One run at a time.
    executor : Executor
        Of threads, processes or ``dask.distributed.Client.get_executor()``.
    in_flight : int
        Most chunks handed to it at a time, which bounds memory.

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
    with held_alone(folder):
        waiting: deque[_Part] = deque()
        names = set()
        for chunk in chunks(records, chunk_residues):
            path = folder / f"part-{chunk.number:05d}.parquet"
            names.add(path.name)
            refuse_foreign(path)
            done = is_finished(path, chunk.digest, job)
            future = None if done else executor.submit(score_chunk, job, chunk, str(path))
            waiting.append(_Part(path, chunk.digest, [record.id for record in chunk.records], future))
            while len(waiting) > in_flight:
                yield from _rows(waiting.popleft(), job)
        while waiting:
            yield from _rows(waiting.popleft(), job)
        remove_parts(folder, keep=names)


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
    """Say whether a part is there, undamaged, and was made from the chunk of this digest by this job."""
    import pyarrow as pa

    try:
        table = _read(path)
    except (OSError, ValueError, TypeError, pa.ArrowException):
        return False
    return _is_of(table, digest, job)


def score_chunk(job: Job, chunk: Chunk, path: str) -> None:
    """Make one part; runs in a worker."""
    predictor = _predictor(job)

    def rows() -> Iterator[Prediction]:
        start = 0
        for window in windows(chunk.records):
            yield from predictor.predict_window(window, chunk.repeated[start : start + len(window)])
            start += len(window)

    facts = {**asdict(job), "chunk": chunk.digest, "job": job.key, MARK: __version__}
    with whole_file(Path(path)) as stream:
        write_parquet(rows(), stream, facts, predictor.columns)


@lru_cache(maxsize=1)
def _predictor(job: Job) -> Predictor:
    # Kept from chunk to chunk: loading takes longer than scoring a small one.
    if job.threads:
        torch.set_num_threads(at_most_cores(job.threads))
    bundle = load_bundle(Path(job.folder))
    if bundle.digest != job.digest:
        raise BundleError(job.folder, "another model than the one this prediction began with", path=job.folder)
    return Predictor(
        bundle,
        threshold=job.threshold,
        device=torch.device(job.device),
        precision=job.precision,
        cpu_fallback=job.cpu_fallback,
        prevalence=job.prevalence,
        evidence=job.evidence,
    )


def _chunk(number: int, records: list[Record], repeated: list[bool]) -> Chunk:
    digest = hashlib.sha256()
    for record, again in zip(records, repeated, strict=True):
        text = "\0".join([record.id, record.sequence, str(again), *record.notes, record.problem, str(record.left_out)])
        digest.update(f"{text}\n".encode("utf-8", "surrogatepass"))
    return Chunk(number, records, repeated, digest.hexdigest())


class _Part(NamedTuple):
    path: Path
    digest: str
    ids: list[str]
    future: "Future[None] | None"


def _rows(part: _Part, job: Job) -> Iterator[Prediction]:
    if part.future is not None:
        part.future.result()
    table = _read(part.path)
    if not _is_of(table, part.digest, job) or table.num_rows != len(part.ids):
        raise OutputError(str(part.path), "another run's part", "that of this run", "name another folder")
    names = iter(part.ids)
    for group in table.to_batches(max_chunksize=10_000):
        for row in group.to_pylist():
            # Parquet holds UTF-8 only; an id is given as it came.
            yield Prediction(**{**row, "id": next(names)})


def _read(path: Path) -> "pa.Table":
    import pyarrow.parquet as pq

    return pq.read_table(path, page_checksum_verification=True, partitioning=None)  # type: ignore[arg-type]


def _is_of(table: "pa.Table", digest: str, job: Job) -> bool:
    metadata = table.schema.metadata or {}
    return (metadata.get(b"chunk"), metadata.get(b"job")) == (digest.encode(), job.key.encode())
