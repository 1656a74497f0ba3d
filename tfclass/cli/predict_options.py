"""The options of ``tfclass predict``: their names, types and help."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer


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
