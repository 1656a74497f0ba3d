"""``tfclass predict``: FASTA in, one row per record out."""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tfclass.cli.signals import stop_at_once
from tfclass.cli.terminal import has_terminal
from tfclass.files import is_address

if TYPE_CHECKING:
    from tfclass.inference.predictor import Predictor
    from tfclass.inference.rows import Prediction
    from tfclass.sequence.fasta import Record

# Declared here, not imported from tfclass.bundle: help and usage errors must not wait for torch.
DEFAULT_MODEL = "tf-bilstm"


Inputs = Annotated[list[str], typer.Argument(metavar="FASTA...", help="Plain or compressed; - is standard input.")]
Output = Annotated[
    str | None,
    typer.Option("-o", "--output", help="Where rows go, instead of standard output; .gz packs them; s3://... too."),
]
Format = Annotated[
    Literal["tsv", "jsonl", "parquet"] | None,
    typer.Option("--format", help="How rows are written; by default as the name of -o ends, else tsv."),
]
Model = Annotated[str, typer.Option(help="A bundle folder, a shipped model's name, or models:/NAME@ALIAS of MLflow.")]
Evidence = Annotated[
    Literal["network", "profile", "homology", "combined"] | None,
    typer.Option(help="What a call rests on; by default combined where the model has more than a network."),
]
Threshold = Annotated[
    str | None, typer.Option(help="Probability from which a protein is called; or max-mcc, fdr=X, recall=X.")
]
Prevalence = Annotated[
    float | None, typer.Option(help="Share of TFs to expect, such as 0.06: adjusts probabilities and threshold to it.")
]
OnlyTf = Annotated[bool, typer.Option("--only-tf", help="Only rows called TF.")]
Header = Annotated[bool, typer.Option("--header", help="Begin TSV with a # line: version, model, its digest.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if any record was skipped.")]
Shard = Annotated[str, typer.Option(metavar="I/N", help="Only records I, I+N, I+2N, ... of the input.")]
Resume = Annotated[bool, typer.Option("--resume", help="With -o: after an interruption, the same command goes on.")]
Parts = Annotated[Path | None, typer.Option(help="Keep finished parts (Parquet) here; a rerun does only the rest.")]
Engine = Annotated[
    Literal["none", "process", "dask"], typer.Option(help="Where parts are computed; needs --parts or --resume.")
]
Workers = Annotated[int | None, typer.Option(min=1, help="Workers of the engine; 2 by default.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the network runs.")]
Fallback = Annotated[
    bool, typer.Option("--cpu-fallback", help="Score on the CPU what is too long for the memory of the GPU.")
]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves the choice to torch.")]
Precision = Annotated[
    Literal["float32", "bf16"],
    typer.Option(help="bf16 is a third faster where the processor computes in it; probabilities move a little."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")]


def predict(
    fasta: Inputs,
    output: Output = None,
    output_format: Format = None,
    model: Model = DEFAULT_MODEL,
    evidence: Evidence = None,
    threshold: Threshold = None,
    prevalence: Prevalence = None,
    only_tf: OnlyTf = False,
    header: Header = False,
    strict: Strict = False,
    shard: Shard = "1/1",
    resume: Resume = False,
    parts: Parts = None,
    engine: Engine = "none",
    workers: Workers = None,
    device: Device = "auto",
    cpu_fallback: Fallback = False,
    threads: Threads = 0,
    precision: Precision = "float32",
    quiet: Quiet = False,
) -> None:
    """Predict which proteins are transcription factors.

    Every record gives one row, in input order, whatever its length. Rows go to standard output, all else to standard
    error.
    """
    from tfclass.cli.destination import format_of, keep_apart, place_of

    output = place_of(output)
    keep_apart(output, fasta, parts)
    name = format_of(output_format, output)
    folder = _parts_folder(parts, output, resume=resume, engine=engine)
    _refuse_idle_options(header=header and name == "jsonl", workers=workers is not None and engine == "none")
    records = _sharded(fasta, shard)
    options = {"threshold": threshold, "prevalence": prevalence, "evidence": evidence}
    options |= {"precision": precision, "cpu_fallback": cpu_fallback}
    predictor, bundle_folder = _predictor(model, device, threads, **options)
    facts = _facts(predictor) if header or name == "parquet" else None
    tally = _Tally()
    with stop_at_once(goes_on=folder is not None), _progress(quiet) as advance:
        if folder is None:
            rows = predictor.predict(records)
        else:
            rows = _in_parts(predictor, records, bundle_folder, folder, engine, workers or 2, threads)
        rows = tally.count(rows, advance)
        _write(filter(_is_called, rows) if only_tf else rows, name, output, facts, predictor.columns)
    if folder is not None and parts is None:
        _remove_parts(folder)
    if not quiet:
        typer.echo(f"{tally.records} records: {tally.called} called, {tally.skipped} skipped", err=True)
    if strict and tally.skipped:
        typer.echo(f"tfclass: {tally.skipped} of {tally.records} records skipped (--strict)", err=True)
        raise typer.Exit(1)


def _predictor(model: str, device: str, threads: int, **options: Any) -> "tuple[Predictor, Path]":  # noqa: ANN401
    from tfclass.bundle.bundle import load_bundle
    from tfclass.config import RuntimeConfig
    from tfclass.environment import prepare
    from tfclass.inference.predictor import Predictor
    from tfclass.inference.registry import locate_model

    chosen = prepare(RuntimeConfig(device=device, threads=threads))  # type: ignore[arg-type]
    folder = locate_model(model)
    return Predictor(load_bundle(folder), device=chosen, **options), folder


def _write(
    rows: "Iterator[Prediction]",
    name: str,
    output: str | None,
    facts: dict[str, object] | None,
    columns: tuple[str, ...],
) -> None:
    from tfclass.cli.destination import opened
    from tfclass.inference.output import WRITERS

    with opened(output) as stream:
        WRITERS[name](_first_fetched(rows), stream, facts, columns)


def _parts_folder(parts: Path | None, output: str | None, *, resume: bool, engine: str) -> Path | None:
    if parts is None and resume:
        if output is None or is_address(output) or (Path(output).exists() and not Path(output).is_file()):
            raise typer.BadParameter(
                "needs -o FILE or --parts DIR: a pipe or an address cannot be gone on with", param_hint="--resume"
            )
        return Path(f"{output}.parts")
    # A path has lost one of the slashes of an address.
    if parts is not None and ":/" in str(parts):
        raise typer.BadParameter("parts need a folder that all workers see, not an address", param_hint="--parts")
    if parts is None and engine != "none":
        raise typer.BadParameter("needs --parts DIR, or --resume with -o FILE", param_hint="--engine")
    return parts


def _refuse_idle_options(*, header: bool, workers: bool) -> None:
    if header:
        raise typer.BadParameter("JSON lines have no place for it; it is for TSV", param_hint="--header")
    if workers:
        raise typer.BadParameter("needs --engine; --threads says how many cores are used here", param_hint="--workers")


def _sharded(fasta: list[str], shard: str) -> "Iterator[Record]":
    from tfclass.sequence.fasta import read_fasta

    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", shard)
    index, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= index <= count:
        raise typer.BadParameter(f"{shard!r} is not I/N with I from 1 to N, such as 3/8", param_hint="--shard")
    records = itertools.chain.from_iterable(read_fasta(source) for source in fasta)
    return itertools.islice(records, index - 1, None, count)


def _facts(predictor: "Predictor") -> dict[str, object]:
    from tfclass import __version__

    bundle = predictor.bundle
    return {
        "tfclass": __version__,
        "model": bundle.name,
        "sha256": bundle.digest,
        **({"evidence": predictor.channel} if bundle.combiners else {}),
        "threshold": predictor.threshold,
        **({} if predictor.prevalence is None else {"prevalence": predictor.prevalence}),
        "classes": ",".join(bundle.classes),
    }


def _in_parts(
    predictor: "Predictor",
    records: "Iterable[Record]",
    bundle_folder: Path,
    folder: Path,
    engine: str,
    workers: int,
    threads: int,
) -> "Iterator[Prediction]":
    import torch

    from tfclass.inference.bulk import Job, predict_in_parts
    from tfclass.inference.engines import executor_of

    alone = engine == "none"
    # Two pools of threads on the same cores wait for each other.
    each = threads if alone else threads or max(1, torch.get_num_threads() // workers)
    device = str(next(predictor.bundle.model.parameters()).device)
    job = Job(
        str(bundle_folder.resolve()),
        predictor.bundle.digest,
        predictor.threshold,
        device,
        each,
        predictor.precision,
        predictor.cpu_fallback,
        predictor.prevalence,
        predictor.channel,
    )
    with executor_of(engine, workers) as executor:
        yield from predict_in_parts(records, job, folder, executor, in_flight=0 if alone else 2 * workers)


class _Tally:
    def __init__(self) -> None:
        self.records = self.skipped = self.called = 0

    def count(self, rows: Iterable["Prediction"], advance: Callable[[], object]) -> Iterator["Prediction"]:
        for row in rows:
            advance()
            self.records += 1
            self.skipped += row.status == "skipped"
            self.called += _is_called(row)
            yield row


def _is_called(row: "Prediction") -> bool:
    # A model of several classes has no negative one: all it scores is called.
    return row.probability is not None and (row.threshold is None or row.probability >= row.threshold)


def _first_fetched(rows: Iterable["Prediction"]) -> Iterator["Prediction"]:
    # An input that cannot be read must leave stdout empty, header line included: meet its error before any writing.
    first = list(itertools.islice(rows, 1))
    return itertools.chain(first, rows)


def _remove_parts(folder: Path) -> None:
    from tfclass.inference.bulk import remove_parts

    remove_parts(folder)


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[], object]]:
    if quiet or not has_terminal():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} records"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda: bar.advance(task)
