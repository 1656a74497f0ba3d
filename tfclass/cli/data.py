"""``tfclass data``: making and checking corpora."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from tfclass.cli.signals import stop_at_once
from tfclass.errors import ConfigError

# Contradictions that are printed; the funnel beside the table has all.
_SHOWN = 5

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


@app.command()
def fetch(
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder of the download.")] = Path(
        "data/raw/uniprot"
    ),
    query: Annotated[
        str | None, typer.Option(help="A UniProtKB search; all reviewed whole proteins by default.")
    ] = None,
    taxon: Annotated[
        int | None, typer.Option(min=1, help="Only this NCBI taxon and those below it, such as 9606.")
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew; what is complete stays until then.")] = False,
    url: Annotated[str | None, typer.Option(help="Another address of the search, such as a mirror's.")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests per second at most.")] = None,
    retries: Annotated[int | None, typer.Option(help="Retries of one page in a row.")] = None,
    backoff: Annotated[float | None, typer.Option(help="Seconds that double from retry to retry.")] = None,
) -> None:
    """Download entries of UniProtKB page by page; the same command goes on after an interruption."""
    from tfclass.config import from_mapping
    from tfclass.corpus.download import download
    from tfclass.corpus.uniprot import FetchConfig, UniProt

    given = {"query": query, "url": url, "rate": rate, "retries": retries, "backoff": backoff}
    values = _curation(None)["fetch"] | {key: value for key, value in given.items() if value is not None}
    if taxon is not None:
        values["query"] = f"({values['query']}) AND (taxonomy_id:{taxon})"
    config = from_mapping(FetchConfig, values, "curation.fetch")
    with stop_at_once(goes_on=True), _bar("entries") as (advance, say):
        uniprot = UniProt(config, lambda reason, seconds: say(f"{reason}; again in {seconds:.0f} s"))
        there = download(output, uniprot, restart=restart, on_page=advance)
    content = there.manifest
    release = f"release {content['release'] or 'unknown'} ({content['release_date'] or 'no date'})"
    what = f"{content['entries']:,} entries of {content['source']}, {release}"
    state = f"{there.fetched} of {content['pages']} pages fetched" if there.fetched else "there already"
    typer.echo(f"{output}: {what}; {state}", err=True)


@app.command()
def label(
    folder: Annotated[Path, typer.Argument(help="A complete download.")] = Path("data/raw/uniprot"),
    output: Annotated[Path, typer.Option("-o", "--output", help="The table to write, ending in .tsv.")] = Path(
        "data/interim/swissprot.tsv"
    ),
    rules: Annotated[
        Path | None, typer.Option(help="A YAML file with other rules, shaped like conf/corpus/swissprot.yaml.")
    ] = None,
    conflicts: Annotated[
        str | None, typer.Option(help="leave_out or positive: a sequence that is TF in one entry and not in another.")
    ] = None,
) -> None:
    """Turn a download into a labelled table, and print how many entries each step lost."""
    from tfclass.config import from_mapping
    from tfclass.corpus.curation import label_download
    from tfclass.corpus.labelling import LabelConfig, Labeller
    from tfclass.files import make_folder

    values = _curation(rules)["label"] | ({} if conflicts is None else {"conflicts": conflicts})
    labeller = Labeller(from_mapping(LabelConfig, values, "curation.label"))
    make_folder(output.parent)
    with stop_at_once(goes_on=False), _bar("rows, twice") as (advance, _):
        funnel = label_download(folder, output, labeller, on_rows=advance)
    _print_funnel(funnel)
    typer.echo(f"{output}: {funnel['rows_out']:,} proteins, {funnel['labels']['TF']:,} of them TF", err=True)


def _curation(path: Path | None) -> dict[str, Any]:
    """Read how a corpus is made, from the configuration that ships or from a file like it."""
    import yaml

    place = files("tfclass.conf") / "corpus" / "swissprot.yaml" if path is None else path
    try:
        curation = yaml.safe_load(place.read_bytes())["curation"]
        return {"fetch": dict(curation.get("fetch", {})), "label": dict(curation["label"])}
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        expected = "a YAML file with curation.label, as in conf/corpus/swissprot.yaml"
        raise ConfigError(str(path), f"something that cannot be used ({error})", expected, path=str(path)) from error


@contextmanager
def _bar(unit: str) -> Iterator[tuple[Callable[[int, int], None], Callable[[str], None]]]:
    """Show a bar on stderr where that is a terminal; give what moves it, and what says a line beside it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(unit, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance, console.print


def _print_funnel(funnel: dict[str, Any]) -> None:
    typer.echo(f"{'':<24}{'lost':>10}{'left':>10}")
    typer.echo(f"{'entries':<24}{'':>10}{funnel['rows_in']:>10,}")
    for step in funnel["steps"]:
        typer.echo(f"{step['step']:<24}{step['lost']:>10,}{step['left']:>10,}  {step['why']}")
    labels = list(funnel["labels"])
    typer.echo("\n" + f"{'kingdom':<24}" + "".join(f"{name:>12}" for name in (*labels, "proteins", "TF share")))
    for kingdom, counts in funnel["kingdoms"].items():
        numbers = "".join(f"{counts[name]:>12,}" for name in (*labels, "rows"))
        typer.echo(f"{kingdom:<24}{numbers}{counts['prevalence']:>12.1%}")
    for group in funnel["conflicts"][:_SHOWN]:
        typer.echo("conflict: " + ", ".join(f"{name} is {own}" for name, own in group.items()), err=True)
    for name in funnel["ids_with_two_sequences"][:_SHOWN]:
        typer.echo(f"two sequences: {name}", err=True)
    if max(len(funnel["conflicts"]), len(funnel["ids_with_two_sequences"])) > _SHOWN:
        typer.echo("and more, all of them in the .funnel.json", err=True)
