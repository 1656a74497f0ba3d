"""``tfclass predict``: FASTA in, one row per record out."""

import contextlib
import io
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, TextIO

import typer

if TYPE_CHECKING:
    from tfclass.inference.predictor import Prediction

# Declared here, not imported from tfclass.bundle: help and usage errors must not wait for torch.
DEFAULT_MODEL = "tf-bilstm"


def predict(
    fasta: Annotated[list[str], typer.Argument(help="FASTA files, plain or compressed; - is standard input.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Where the rows go, instead of standard output.")
    ] = None,
    output_format: Annotated[Literal["tsv", "jsonl"], typer.Option("--format", help="How rows are written.")] = "tsv",
    model: Annotated[str, typer.Option(help="A bundle folder, or the name of a shipped model.")] = DEFAULT_MODEL,
    threshold: Annotated[
        float | None, typer.Option(help="Probability from which a protein is called, instead of the model's own.")
    ] = None,
    only_tf: Annotated[bool, typer.Option("--only-tf", help="Only rows called TF.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if any record was skipped.")] = False,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where the network runs.")] = "auto",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 leaves the choice to torch.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing on stderr but errors.")] = False,
) -> None:
    """Predict which proteins are transcription factors.

    Every record gives one row, in input order, whatever its length. Rows go to standard output, all else to standard
    error.
    """
    from tfclass.bundle.bundle import find_bundle, load_bundle
    from tfclass.config import RuntimeConfig
    from tfclass.environment import prepare
    from tfclass.inference.output import WRITERS
    from tfclass.inference.predictor import Predictor
    from tfclass.sequence.fasta import read_fasta

    _keep_apart(output, fasta)
    chosen = prepare(RuntimeConfig(device=device, threads=threads))
    predictor = Predictor(load_bundle(find_bundle(model)), threshold=threshold, device=chosen)
    tally = _Tally()
    with _progress(quiet) as advance:
        records = itertools.chain.from_iterable(read_fasta(source) for source in fasta)
        rows = tally.count(predictor.predict(records), advance)
        if only_tf:
            rows = (row for row in rows if _is_called(row))
        with _opened(output) as stream:
            WRITERS[output_format](_first_fetched(rows), stream)
    if not quiet:
        typer.echo(f"{tally.records} records: {tally.called} called, {tally.skipped} skipped", err=True)
    if strict and tally.skipped:
        typer.echo(f"tfclass: {tally.skipped} of {tally.records} records skipped (--strict)", err=True)
        raise typer.Exit(1)


def _keep_apart(output: Path | None, fasta: list[str]) -> None:
    from tfclass.errors import OutputError

    if output is None or not output.is_file():
        return
    for source in fasta:
        if Path(source).exists() and output.samefile(source):
            raise OutputError(str(output), "an input file", "a file of its own", "choose another name for -o")


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


@contextlib.contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    from tfclass.files import whole_file

    with _standard_output() if output is None else whole_file(output) as binary:
        stream = io.TextIOWrapper(binary, encoding="utf-8", errors="surrogateescape", newline="\n")
        yield stream
        stream.flush()
        stream.detach()


@contextlib.contextmanager
def _standard_output() -> Iterator[BinaryIO]:
    from tfclass.errors import OutputError

    try:
        yield sys.stdout.buffer
    except BrokenPipeError:
        # The reader (`head`) has seen enough: typer ends the program without a word.
        raise
    except OSError as error:
        raise OutputError("standard output", f"a place that cannot be written ({error.strerror})") from error


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[], object]]:
    if quiet or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} records"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda: bar.advance(task)
