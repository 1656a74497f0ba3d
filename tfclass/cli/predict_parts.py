"""``tfclass predict`` in parts, which a rerun does not do again."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch

from tfclass.inference.jobs import Job, predict_in_parts
from tfclass.inference.predictor import Predictor
from tfclass.inference.rows import Prediction
from tfclass.sequences.fasta import Record


def scored_in_parts(
    predictor: Predictor,
    records: Iterable[Record],
    bundle_folder: Path,
    folder: Path,
    engine: str,
    workers: int,
    threads: int,
) -> Iterator[Prediction]:
    """Score records part by part, in this process or by the workers of an engine; see `predict_in_parts`."""

    def job(threads: int) -> Job:
        threshold, prevalence = predictor.asked
        return Job(
            folder=str(bundle_folder.resolve()),
            digest=predictor.bundle.digest,
            threshold=threshold,
            device=str(next(predictor.bundle.model.parameters()).device),
            threads=threads,
            precision=predictor.precision,
            cpu_fallback=predictor.cpu_fallback,
            prevalence=prevalence,
            channel=predictor.channel,
            description=predictor.description,
        )

    if engine == "none":
        yield from predict_in_parts(records, job(threads), folder, on_progress=predictor.on_progress)
        return
    from tfclass.inference.dask_engine import dask_executor, n_workers_of

    workers = n_workers_of(workers)
    # Two pools of threads on the same cores wait for each other.
    threads = threads or max(1, torch.get_num_threads() // workers)
    with dask_executor(workers) as executor:
        yield from predict_in_parts(records, job(threads), folder, executor, in_flight=2 * workers)
