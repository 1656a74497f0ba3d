"""``tfclass data``: making and checking corpora."""

from pathlib import Path
from typing import Annotated

import typer

from tfclass.cli import data_fetch, data_prepare
from tfclass.cli.data_console import print_kingdoms, print_steps
from tfclass.cli.terminal import say

app = typer.Typer(help="Make and check corpora.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Make and check corpora."""


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="The table to write.")] = Path("data/demo/demo.tsv"),
    clusters: Annotated[int, typer.Option(min=30, help="Homology clusters, one to three proteins each.")] = 3000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed always gives the same table.")] = 0,
) -> None:
    """Generate the demo corpus: artificial proteins whose labels are known to be right."""
    from tfclass.data.demo import generate_demo
    from tfclass.data.manifest import check_output, write_tsv

    check_output(output)
    frame = generate_demo(clusters, seed)
    write_tsv(frame, output)
    positives = int((frame["label"] == "TF").sum())
    say(f"{output}: {len(frame):,} generated proteins, {positives:,} of them TF", err=True)


@app.command()
def check(
    table: Annotated[Path, typer.Argument(help="A labelled table.")],
    classes: Annotated[
        str, typer.Option(help="Class names joined by commas, the positive one last; empty takes them as they come.")
    ] = "nonTF,TF",
) -> None:
    """Check a labelled table; print what was lost on the way to it and what is in it, by split and by kingdom."""
    import pandas as pd

    from tfclass.config import CorpusConfig, from_mapping, to_mapping
    from tfclass.data.manifest import new_manifest
    from tfclass.data.split import SPLITS
    from tfclass.data.table import read_table
    from tfclass.sequences.alphabet import Alphabet

    names = tuple(classes.split(",")) if classes else None
    usual = to_mapping(CorpusConfig.default(path=str(table)))
    config = from_mapping(CorpusConfig, {**usual, "classes": names})
    hint = "--classes names others, the positive one last; --classes '' takes all as they come"
    proteins = read_table(config, Alphabet(), label_hint=hint)
    frame = proteins.frame.assign(residues=proteins.lengths)
    funnel = (proteins.manifest or new_manifest(table, len(frame)))["funnel"]
    if funnel["steps"]:
        print_steps(funnel)
    by = ["split", "label"] if "split" in frame else ["label"]
    numbers = {"proteins": ("id", "size"), "clusters": ("cluster", "nunique"), "residues": ("residues", "sum")}
    if not proteins.clustered:
        del numbers["clusters"]
    say(frame.groupby(by).agg(**numbers).to_string())
    if "kingdom" in frame:
        counts = pd.crosstab(frame["kingdom"], frame["label"])
        say()
        print_kingdoms(counts.to_dict("index"), proteins.classes[-1] if len(proteins.classes) == 2 else "")
    say(f"sha256 {proteins.digest}")
    missing = [name for name in SPLITS if "split" in frame and name not in set(frame["split"])]
    if missing:
        say(f"note: no protein in split {', '.join(missing)}; training needs train and valid", err=True)


app.command()(data_fetch.fetch)
app.command()(data_fetch.label)
app.command("import")(data_prepare.import_)
app.command()(data_prepare.cluster)
app.command()(data_prepare.split)
app.command()(data_prepare.audit)
