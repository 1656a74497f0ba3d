"""``tfclass predict``: FASTA in, one row per record out."""

import itertools
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tfclass.cli.options import Example, Inputs, chosen_inputs
from tfclass.cli.predict_output import (
    check_options,
    format_of,
    keep_apart,
    last_lines,
    parts_folder,
    place_of,
    write_rows,
)
from tfclass.cli.terminal import Bar, InputBar, progress, stop_at_once
from tfclass.errors import escaped
from tfclass.sequences.parsing import MAX_LENGTH

if TYPE_CHECKING:
    from rich.console import Console

    from tfclass.inference.genome import Genome
    from tfclass.inference.predictor import Predictor
    from tfclass.inference.rows import Prediction, Tally
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


Output = Annotated[
    str | None,
    typer.Option("-o", "--output", help="Where rows go, instead of standard output; .gz packs them; s3://... too."),
]
Format = Annotated[
    Literal["tsv", "csv", "jsonl", "parquet", "gff3", "bed", "txt"] | None,
    typer.Option(
        "--format",
        help="By default as the name of -o ends, tsv for a name without an ending. gff3 and bed have the domains of "
        "predicted TFs, txt has their ids.",
    ),
]
Description = Annotated[
    bool, typer.Option("--description", help="Add the rest of the header: a column, or the Note in GFF3.")
]
Taxon = Annotated[
    Literal["bacteria", "archaea", "fungi", "plants", "animals"] | None,
    typer.Option(help="Whose proteins these are, for the GO term in GFF3, and to compare with in --summary."),
]
GenomeGff = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="GFF3 and BED: place domains on the genome, by the CDS of this GFF3 file."),
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
Summaries = Annotated[
    list[str] | None,
    typer.Option(
        "--summary",
        metavar="FILE",
        help="Also write a page about the whole input (.html), or its numbers (.json); may be given for both.",
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
    typer.Option(help="bf16 is up to a third faster where the processor computes in it; probabilities move a little."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")]


def predict(
    fasta: Inputs = None,
    example: Example = False,
    output: Output = None,
    output_format: Format = None,
    description: Description = False,
    taxon: Taxon = None,
    genome_gff: GenomeGff = None,
    model: Model = DEFAULT_MODEL,
    channel: Channel = None,
    threshold: Threshold = None,
    prevalence: Prevalence = None,
    summary: Summaries = None,
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
    started, fasta, output, pages = time.monotonic(), chosen_inputs(fasta, example), place_of(output), summary or []
    inputs = [*fasta, *([] if genome_gff is None else [str(genome_gff)])]
    keep_apart(output, inputs, parts)
    name = format_of(output_format, output)
    check_options(name, pages, header=header, description=description, taxon=taxon, genome_gff=genome_gff)
    folder = parts_folder(parts, output, engine, workers, resume=resume)
    chosen = {"threshold": threshold, "prevalence": prevalence, "channel": channel, "precision": precision}
    chosen |= {"cpu_fallback": cpu_fallback, "description": description}
    console = _terminal() if output is None and not header and output_format is None else None
    waiting = progress("loading the model", is_quiet=quiet, console=console)
    with stop_at_once(goes_on=folder is not None), _summaries(pages, output, inputs, parts) as written, waiting as bar:
        genome, meter = _genome(genome_gff), InputBar(bar, fasta)
        records = meter.read(_sharded(fasta, shard, max_length, meter))
        predictor, bundle_folder = _loaded(meter, quiet, model, device, threads, **chosen)
        tally = _tally(predictor, taxon, is_summary=bool(pages))
        scored = _scored(predictor, records, bundle_folder, folder, engine, workers or 2, threads)
        rows = tally.count(predictor.settled(meter.scored(scored)))
        _write(rows, only_tf, name, output, predictor, console or bar, header=header, taxon=taxon, genome=genome)
        written(tally, {**chosen, "shard": shard, "only_tf": only_tf}, time.monotonic() - started)
    lines = last_lines(tally, [output, *pages], genome, time.monotonic() - started)
    _conclude(tally, lines, None if parts else folder, quiet=quiet, strict=strict)


def _terminal() -> "Console | None":
    """Return the console for a table; None where standard output is no terminal."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    from rich.console import Console

    return Console(highlight=False, markup=False, soft_wrap=True)


def _genome(path: Path | None) -> "Genome | None":
    if path is None:
        return None
    from tfclass.inference.genome import read_genome

    return read_genome(path)


def _summaries(
    pages: list[str], output: str | None, inputs: list[str], parts: Path | None
) -> AbstractContextManager[Callable[..., None]]:
    if not pages:
        return nullcontext(lambda *_: None)
    from tfclass.cli.predict_summary import summaries

    return summaries(pages, output, inputs, parts)


def _tally(predictor: "Predictor", taxon: str | None, *, is_summary: bool) -> "Tally":
    if is_summary:
        from tfclass.inference.summary import Summary

        return Summary(predictor, taxon)
    from tfclass.inference.rows import Tally

    return Tally(predictor)


def _conclude(tally: "Tally", lines: Iterable[str], finished: Path | None, *, quiet: bool, strict: bool) -> None:
    if finished is not None:
        from tfclass.inference.jobs import remove_folder

        remove_folder(finished)
    if not quiet:
        for line in lines:
            typer.echo(escaped(line), err=True)
    if strict and tally.n_skipped:
        typer.echo(f"tfclass: {tally.n_skipped:,} of {tally.n_records:,} records skipped (--strict)", err=True)
        raise typer.Exit(1)


def load(model: str, device: str, threads: int, **options: Any) -> "tuple[Predictor, Path]":  # noqa: ANN401
    """Load a model with the options of `Predictor`; return the folder it lies in as well."""
    from tfclass import locate_model
    from tfclass.inference.predictor import Predictor

    folder = locate_model(model)
    return Predictor.load(folder, device=device, threads=threads, **options), folder


def _loaded(meter: InputBar, quiet: bool, *where: Any, **options: Any) -> "tuple[Predictor, Path]":  # noqa: ANN401
    predictor, folder = load(*where, **options)
    predictor.on_progress = meter.on_window
    if predictor.bundle.trained_on_generated and not quiet:
        meter.bar.note(GENERATED)
    return predictor, folder


def _write(
    rows: "Iterator[Prediction]",
    only_tf: bool,
    name: str,
    output: str | None,
    predictor: "Predictor",
    shown: "Bar | Console",
    **options: Any,  # noqa: ANN401 - of write_rows
) -> None:
    rows = filter(predictor.is_positive, rows) if only_tf or name == "txt" else rows
    if isinstance(shown, Bar):
        write_rows(rows, name, output, predictor, shown, **options)
        return
    from tfclass.cli.predict_table import print_table

    print_table(rows, shown, predictor)


def _sharded(fasta: list[str], shard: str, max_length: int, meter: InputBar) -> "Iterator[Record]":
    from tfclass.sequences.fasta import read_inputs

    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", shard)
    index, count = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= index <= count:
        raise typer.BadParameter(f"{shard!r} is not I/N with I from 1 to N, such as 3/8", param_hint="--shard")
    return itertools.islice(read_inputs(fasta, max_length, meter.on_read), index - 1, None, count)


def _scored(
    predictor: "Predictor",
    records: "Iterable[Record]",
    bundle_folder: Path,
    folder: Path | None,
    *how: Any,  # noqa: ANN401
) -> "Iterator[Prediction]":
    if folder is None:
        return predictor.scored(records)
    from tfclass.cli.predict_parts import scored_in_parts

    return scored_in_parts(predictor, records, bundle_folder, folder, *how)
