"""``tfclass data``: making and checking corpora."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Make and check corpora.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Make and check corpora."""


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="The table to write.")] = Path("data/demo/demo.tsv"),
    clusters: Annotated[int, typer.Option(min=30, help="Homology clusters, one to three proteins each.")] = 3000,
    seed: Annotated[int, typer.Option(help="The same seed always gives the same table.")] = 0,
) -> None:
    """Generate the demo corpus: artificial proteins whose labels are known to be right."""
    from tfclass.corpus.demo import generate_demo
    from tfclass.files import make_folder, whole_file

    make_folder(output.parent)
    frame = generate_demo(clusters, seed)
    with whole_file(output) as stream:
        stream.write(frame.to_csv(sep="\t", index=False, lineterminator="\n").encode())
    positives = int((frame["label"] == "TF").sum())
    typer.echo(f"{output}: {len(frame):,} generated proteins, {positives:,} of them TF", err=True)


@app.command()
def check(
    table: Annotated[Path, typer.Argument(help="A labelled table.")],
    classes: Annotated[
        str, typer.Option(help="Class names joined by commas, the positive one last; empty takes them as they come.")
    ] = "nonTF,TF",
) -> None:
    """Check a labelled table and print what is in it, split by split."""
    from tfclass.config import CorpusConfig
    from tfclass.corpus.table import read_table
    from tfclass.sequence.vocabulary import Vocabulary

    names = tuple(classes.split(",")) if classes else None
    proteins = read_table(CorpusConfig(path=str(table), classes=names), Vocabulary())
    frame = proteins.frame.assign(residues=proteins.lengths)
    by = ["split", "label"] if "split" in frame else ["label"]
    summary = frame.groupby(by).agg(
        proteins=("id", "size"), clusters=("cluster", "nunique"), residues=("residues", "sum")
    )
    typer.echo(summary.to_string())
    typer.echo(f"sha256 {proteins.digest}")
    missing = [name for name in ("train", "valid", "test") if "split" in frame and name not in set(frame["split"])]
    if missing:
        typer.echo(f"note: no protein in split {', '.join(missing)}; training needs train and valid", err=True)
