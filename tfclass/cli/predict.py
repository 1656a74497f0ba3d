"""``tfclass predict``: FASTA in, one row per record out."""

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tfclass.cli.predict_output import Tally, format_of, keep_apart, opened, place_of
from tfclass.cli.terminal import progress, stop_at_once
from tfclass.errors import escaped
from tfclass.io.files import is_address
from tfclass.sequences.parsing import MAX_LENGTH

if TYPE_CHECKING:
    from tfclass.inference.predictor import Predictor
    from tfclass.inference.rows import Prediction
    from tfclass.sequences.fasta import Record

# Declared here, not imported from tfclass.bundle: help and usage errors must not wait for torch.
DEFAULT_MODEL = "tf-bilstm"
GENERATED = "note: this model was trained on generated proteins; its predictions for real proteins mean nothing"


def _prevalence(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number between 0 and 1 nor auto") from None


Inputs = Annotated[list[str], typer.Argument(metavar="FASTA...", help="Plain or compressed; - is standard input.")]
Output = Annotated[
    str | None,
    typer.Option("-o", "--output", help="Where rows go, instead of standard output; .gz packs them; s3://... too."),
]
Format = Annotated[
    Literal["tsv", "jsonl", "parquet"] | None,
    typer.Option(
        "--format", help="Format of the rows; by default as the name of -o ends, tsv for a name without an ending."
    ),
]
Model = Annotated[str, typer.Option(help="A bundle folder, a shipped model's name, or models:/NAME@ALIAS of MLflow.")]
Channel = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What a prediction rests on: network, profile, homology or combined; "
        "by default combined where the model has more than a network.",
    ),
]
Threshold = Annotated[
    str | None,
    typer.Option(
        help="Least probability of a predicted TF; or max-mcc, recall=X (on validation), fdr=X (of this input: "
        "the expected share of false predictions)."
    ),
]
Prevalence = Annotated[
    Any,
    typer.Option(
        parser=_prevalence,
        metavar="X|auto",
        help="Share of TFs to expect, such as 0.06; auto estimates it. Probabilities and threshold move.",
    ),
]
OnlyTf = Annotated[bool, typer.Option("--only-tf", help="Only rows predicted TF.")]
Header = Annotated[bool, typer.Option("--header", help="Begin TSV with a # line: version, model, its digest.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if any record was skipped.")]
Shard = Annotated[str, typer.Option(metavar="I/N", help="Only records I, I+N, I+2N, ... of the input.")]
MaxLength = Annotated[
    int, typer.Option(min=1, metavar="N", help="Skip a record of more characters; each takes some 1.4 KB of memory.")
]
Resume = Annotated[bool, typer.Option("--resume", help="With -o: after an interruption, the same command goes on.")]
Parts = Annotated[Path | None, typer.Option(help="Keep finished parts (Parquet) here; a rerun does only the rest.")]
Engine = Annotated[Literal["none", "dask"], typer.Option(help="Where parts are computed; needs --parts or --resume.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Workers of the engine, here at most one per core; 2 by default.")
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the network runs.")]
Fallback = Annotated[
    bool, typer.Option("--cpu-fallback", help="Score on the CPU what is too long for the memory of the GPU.")
]
Threads = Annotated[
    int, typer.Option(min=0, max=2**31 - 1, help="CPU threads, at most one per core; 0 leaves the choice to torch.")
]
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
    channel: Channel = None,
    threshold: Threshold = None,
    prevalence: Prevalence = None,
    only_tf: OnlyTf = False,
    header: Header = False,
    strict: Strict = False,
    shard: Shard = "1/1",
    max_length: MaxLength = MAX_LENGTH,
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

    Every record gives one row, in input order. Rows go to standard output, all else to standard
    error.
    """
    keep_apart(output := place_of(output), fasta, parts)
    name = format_of(output_format, output)
    if header and name == "jsonl":
        raise typer.BadParameter("JSON lines have no place for it; it is for TSV", param_hint="--header")
    folder = _parts_folder(parts, output, engine, workers, resume=resume)
    chosen = {"threshold": threshold, "prevalence": prevalence, "channel": channel, "precision": precision}
    with stop_at_once(goes_on=folder is not None):
        records = _sharded(fasta, shard, max_length)
        predictor, bundle_folder = load(model, device, threads, cpu_fallback=cpu_fallback, **chosen)
        if predictor.bundle.trained_on_generated and not quiet:
            typer.echo(GENERATED, err=True)
        if folder is None:
            scored = predictor.scored(records)
        else:
            scored = _in_parts(predictor, records, bundle_folder, folder, engine, workers or 2, threads)
        tally = Tally(predictor)
        with progress("scoring", is_quiet=quiet) as bar:
            rows = tally.count(predictor.settled(bar.count(scored, "records")))
            _write(filter(predictor.is_positive, rows) if only_tf else rows, name, output, predictor, header=header)
        if folder is not None and parts is None:
            from tfclass.inference.jobs import remove_folder

            remove_folder(folder)
    _conclude(tally, quiet=quiet, strict=strict)


def _conclude(tally: Tally, *, quiet: bool, strict: bool) -> None:
    if not quiet:
        for line in tally.summary():
            typer.echo(escaped(line), err=True)
    if strict and tally.n_skipped:
        typer.echo(f"tfclass: {tally.n_skipped:,} of {tally.n_records:,} records skipped (--strict)", err=True)
        raise typer.Exit(1)


def load(model: str, device: str, threads: int, **options: Any) -> "tuple[Predictor, Path]":  # noqa: ANN401
    """Load a model with the options of `Predictor`; return the folder it lies in as well."""
    from tfclass import locate_model
    from tfclass.bundle.bundle import load_bundle
    from tfclass.config import RuntimeConfig
    from tfclass.environment import prepare
    from tfclass.inference.predictor import Predictor

    chosen = prepare(RuntimeConfig.default(device=device, threads=threads))  # type: ignore[arg-type]
    folder = locate_model(model)
    return Predictor(load_bundle(folder), device=chosen, **options), folder


def _write(
    rows: "Iterator[Prediction]", name: str, output: str | None, predictor: "Predictor", *, header: bool
) -> None:
    from tfclass.inference.rows import WRITERS

    with opened(output) as stream:
        # An input that cannot be read leaves the output empty, header included: its error comes with the first row.
        rows = itertools.chain(list(itertools.islice(rows, 1)), rows)
        # Where the input decides the threshold, it is known with the first row.
        facts = _facts(predictor) if header or name == "parquet" else None
        WRITERS[name](rows, stream, facts, predictor.columns)


def _parts_folder(
    parts: Path | None, output: str | None, engine: str, workers: int | None, *, resume: bool
) -> Path | None:
    if workers is not None and engine == "none":
        expected = "needs --engine; --threads says how many cores are used here"
        raise typer.BadParameter(expected, param_hint="--workers")
    if parts is None and resume:
        if output is None or is_address(output) or (Path(output).exists() and not Path(output).is_file()):
            raise typer.BadParameter(
                "needs -o FILE or --parts DIR: a pipe or an address cannot be resumed", param_hint="--resume"
            )
        return Path(f"{output}.parts")
    # A path has lost one of the slashes of an address.
    if parts is not None and ":/" in str(parts):
        raise typer.BadParameter("parts need a folder that all workers see, not an address", param_hint="--parts")
    if parts is None and engine != "none":
        raise typer.BadParameter("needs --parts DIR, or --resume with -o FILE", param_hint="--engine")
    return parts


def _sharded(fasta: list[str], shard: str, max_length: int) -> "Iterator[Record]":
    from tfclass.sequences.fasta import read_inputs

    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", shard)
    index, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= index <= count:
        raise typer.BadParameter(f"{shard!r} is not I/N with I from 1 to N, such as 3/8", param_hint="--shard")
    return itertools.islice(read_inputs(fasta, max_length), index - 1, None, count)


def _facts(predictor: "Predictor") -> dict[str, object]:
    from tfclass import __version__

    bundle = predictor.bundle
    return {
        "tfclass": __version__,
        "model": bundle.name,
        "sha256": bundle.digest,
        **({"channel": predictor.channel} if bundle.channels else {}),
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

    from tfclass.inference.jobs import Job, predict_in_parts

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
        )

    if engine == "none":
        yield from predict_in_parts(records, job(threads), folder)
        return
    from tfclass.inference.dask_engine import dask_executor, n_workers_of

    workers = n_workers_of(workers)
    # Two pools of threads on the same cores wait for each other.
    threads = threads or max(1, torch.get_num_threads() // workers)
    with dask_executor(workers) as executor:
        yield from predict_in_parts(records, job(threads), folder, executor, in_flight=2 * workers)
