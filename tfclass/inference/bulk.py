"""Prediction in parts: chunks of the input, one Parquet file each, on any executor; what is finished is not done again.

A part carries the digest of its chunk and of the job (model, threshold, version) in its metadata, so a part of another
input or model is never taken for one of this. Parts appear whole or not at all.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import torch

from tfclass import __version__
from tfclass.bundle.bundle import load_bundle
from tfclass.errors import BundleError
from tfclass.files import make_folder, whole_file
from tfclass.inference.duplicates import SeenIds
from tfclass.inference.output import write_parquet
from tfclass.inference.predictor import Prediction, Predictor, windows
from tfclass.networks.scoring import Precision
from tfclass.sequence.fasta import Record

# Residues in a chunk: half a minute of work, a few megabytes to hand to a worker.
CHUNK_RESIDUES = 4_000_000

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
    threshold : float or None
        None: the likeliest class is called, or the model's own threshold used.
    device : str
    threads : int
        Of each worker; 0 leaves the choice to torch.
    precision : str
        See `Predictor`.
    """

    folder: str
    digest: str
    threshold: float | None = None
    device: str = "cpu"
    threads: int = 0
    precision: Precision = "float32"

    @property
    def key(self) -> str:
        """Digest of what decides the rows."""
        decides = [__version__, self.digest, self.threshold, self.precision]
        return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


class Chunk(NamedTuple):
    """Records that make one part.

    Attributes
    ----------
    number : int
    records : list of Record
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
    records : iterable of Record
    job : Job
    folder : Path
        Gets ``part-00000.parquet`` and so on. Parts of this very input and job that are there are kept; others of those
        names are replaced or, past the last, removed.
    executor : Executor
        Of threads, processes or ``dask.distributed.Client.get_executor()``.
    in_flight : int
        Most chunks handed to it at a time, which bounds memory.
    chunk_residues : int

    Yields
    ------
    Prediction
        One per record, in the same order; each part's once it is complete.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    make_folder(folder)
    waiting: deque[tuple[Path, Future[None] | None]] = deque()
    number = -1
    for chunk in chunks(records, chunk_residues):
        number, path = chunk.number, folder / f"part-{chunk.number:05d}.parquet"
        done = is_finished(path, chunk, job)
        waiting.append((path, None if done else executor.submit(score_chunk, job, chunk, str(path))))
        while len(waiting) > in_flight:
            yield from _rows(*waiting.popleft())
    while waiting:
        yield from _rows(*waiting.popleft())
    for path in folder.glob("part-*.parquet"):
        if path.stem.removeprefix("part-").isdecimal() and int(path.stem.removeprefix("part-")) > number:
            path.unlink()


def chunks(records: Iterable[Record], chunk_residues: int) -> Iterator[Chunk]:
    """Cut records into chunks, the same ones for the same input."""
    seen = SeenIds()
    held: list[Record] = []
    repeated: list[bool] = []
    number = 0
    for window in windows(records):
        held += window
        repeated += seen.add([record.id for record in window])
        if sum(len(record.sequence) for record in held) >= chunk_residues:
            yield _chunk(number, held, repeated)
            held, repeated, number = [], [], number + 1
    if held:
        yield _chunk(number, held, repeated)


def is_finished(path: Path, chunk: Chunk, job: Job) -> bool:
    """Say whether a part is there and was made from this chunk by this job."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return False
    return (metadata.get(b"chunk"), metadata.get(b"job")) == (chunk.digest.encode(), job.key.encode())


def score_chunk(job: Job, chunk: Chunk, path: str) -> None:
    """Make one part; runs in a worker."""
    predictor = _predictor(job)

    def rows() -> Iterator[Prediction]:
        start = 0
        for window in windows(chunk.records):
            yield from predictor.predict_window(window, chunk.repeated[start : start + len(window)])
            start += len(window)

    with whole_file(Path(path)) as stream:
        write_parquet(rows(), stream, {**asdict(job), "chunk": chunk.digest, "job": job.key})


@lru_cache(maxsize=1)
def _predictor(job: Job) -> Predictor:
    # Kept from chunk to chunk: loading takes longer than scoring a small one.
    if job.threads:
        torch.set_num_threads(job.threads)
    bundle = load_bundle(Path(job.folder))
    if bundle.digest != job.digest:
        raise BundleError(job.folder, "another model than the one this prediction began with", path=job.folder)
    return Predictor(bundle, threshold=job.threshold, device=torch.device(job.device), precision=job.precision)


def _chunk(number: int, records: list[Record], repeated: list[bool]) -> Chunk:
    digest = hashlib.sha256()
    for record, again in zip(records, repeated, strict=True):
        text = f"{record.id}\0{record.sequence}\0{again}\n"
        digest.update(text.encode("utf-8", "surrogatepass"))
    return Chunk(number, records, repeated, digest.hexdigest())


def _rows(path: Path, future: "Future[None] | None") -> Iterator[Prediction]:
    import pyarrow.parquet as pq

    if future is not None:
        future.result()
    with pq.ParquetFile(path) as part:
        for group in part.iter_batches():
            for row in group.to_pylist():
                yield Prediction(**row)
