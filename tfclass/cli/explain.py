"""``tfclass explain``: FASTA in, a folder of pages, tables and figures out that show what predictions rest on."""

import itertools
import time
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

import typer

from tfclass.cli.options import Example, Inputs, chosen_inputs
from tfclass.cli.predict import DEFAULT_MODEL, GENERATED, Channel, MaxLength, Model, Quiet, Threads, load
from tfclass.cli.predict_output import last_lines
from tfclass.cli.terminal import progress, stop_at_once
from tfclass.errors import escaped
from tfclass.inference.rows import Tally
from tfclass.sequences.parsing import MAX_LENGTH

Output = Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Where the folder goes, whole.")]


class Attribution(str, Enum):
    """A method of attribution; typer takes no list of literals."""

    integrated_gradients = "integrated_gradients"
    gradient_x_input = "gradient_x_input"
    occlusion = "occlusion"


Method = Annotated[
    list[Attribution] | None,
    typer.Option(help="Of attribution, integrated_gradients by default; may be given several times."),
]
Mutagenesis = Annotated[bool, typer.Option("--mutagenesis", help="Every substitution of every residue; slow.")]
Figures = Annotated[bool, typer.Option("--figures/--no-figures", help="A figure of each protein, PNG and SVG.")]
Format = Annotated[Literal["tsv", "parquet"], typer.Option("--format", help="Format of the tables.")]
MaxProteins = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Explain the first N records; the others are counted.")
]
Threshold = Annotated[str | None, typer.Option(help="Least probability of a predicted TF; or max-mcc, recall=X.")]
Prevalence = Annotated[
    float | None, typer.Option(metavar="X", help="Share of TFs to expect, such as 0.06. Probabilities move.")
]


def explain(
    output: Output,
    fasta: Inputs = None,
    example: Example = False,
    method: Method = None,
    mutagenesis: Mutagenesis = False,
    figures: Figures = False,
    output_format: Format = "tsv",
    max_proteins: MaxProteins = None,
    model: Model = DEFAULT_MODEL,
    channel: Channel = None,
    threshold: Threshold = None,
    prevalence: Prevalence = None,
    max_length: MaxLength = MAX_LENGTH,
    threads: Threads = 0,
    quiet: Quiet = False,
) -> None:
    """Show which residues, states and channels a prediction rests on.

    index.html in the folder leads to a page for each protein; tables, segments
    and figures lie beside it. It runs on the CPU, one protein on each core.
    """
    started = time.monotonic()
    methods = list(dict.fromkeys(each.value for each in method or [Attribution.integrated_gradients]))
    methods += ["mutagenesis"] * mutagenesis
    chosen = {"threshold": threshold, "prevalence": prevalence, "channel": channel}
    with stop_at_once(goes_on=False):
        from tfclass.interpretation.folder import EXPLANATION_FOLDER
        from tfclass.io.folders import whole_folder
        from tfclass.pipelines.explain import Request, explain_records
        from tfclass.sequences.fasta import read_inputs

        records = read_inputs(chosen_inputs(fasta, example), max_length)
        predictor, _ = load(model, "cpu", threads, **chosen)
        if predictor.bundle.trained_on_generated and not quiet:
            typer.echo(GENERATED, err=True)
        tally, request = Tally(predictor), Request(methods, output_format, figures)
        with progress("explaining", is_quiet=quiet) as bar, whole_folder(output, EXPLANATION_FOLDER) as folder:

            def show(number: int, fraction: float) -> None:
                # Of the proteins in work, the one that is written next.
                if number == tally.n_records + 1:
                    bar.update(f"protein {number:,}", fraction, 1.0)

            some = itertools.islice(records, max_proteins)
            parts = explain_records(predictor, some, folder, request, tally.count, show)
            n_left = sum(1 for _ in records)
    if not quiet:
        _conclude(tally, predictor.bundle.network, parts, n_left, max_proteins, time.monotonic() - started)
        typer.echo(escaped(f"explanation: {output / 'index.html'}"), err=True)


def _conclude(
    tally: Tally, network: str, parts: list[str], n_left: int, max_proteins: int | None, seconds: float
) -> None:
    lines = list(last_lines(tally, [], None, seconds))
    if n_left:
        lines.append(f"{n_left:,} more record{'s' * (n_left != 1)} left out (--max-proteins {max_proteins})")
    if parts and "gates" not in parts:
        lines.append(f"the network ({network}) has no gates; shown: {', '.join(parts).replace('_', ' ')}")
    for line in lines:
        typer.echo(escaped(line), err=True)
