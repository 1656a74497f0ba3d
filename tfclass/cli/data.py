"""``tfclass data``: making and checking corpora."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from tfclass.cli.signals import stop_at_once
from tfclass.cli.terminal import has_terminal, say
from tfclass.errors import ConfigError, TableError, escaped

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

    from tfclass.config import CorpusConfig, from_mapping
    from tfclass.data.manifest import begun_for
    from tfclass.data.split import SPLITS
    from tfclass.data.table import read_table
    from tfclass.sequences.alphabet import Alphabet

    names = tuple(classes.split(",")) if classes else None
    config = from_mapping(CorpusConfig, {"path": str(table), "classes": names})
    try:
        proteins = read_table(config, Alphabet())
    except TableError as error:
        if error.facts.get("column") == "label":
            error.action = "--classes names others, the positive one last; --classes '' takes all as they come"
        raise
    frame = proteins.frame.assign(residues=proteins.lengths)
    funnel = (proteins.manifest or begun_for(table, len(frame)))["funnel"]
    if funnel["steps"]:
        _print_steps(funnel)
    by = ["split", "label"] if "split" in frame else ["label"]
    numbers = {"proteins": ("id", "size"), "clusters": ("cluster", "nunique"), "residues": ("residues", "sum")}
    if not proteins.clustered:
        del numbers["clusters"]
    say(frame.groupby(by).agg(**numbers).to_string())
    if "kingdom" in frame:
        counts = pd.crosstab(frame["kingdom"], frame["label"])
        say()
        _print_kingdoms(counts.to_dict("index"), proteins.classes[-1] if len(proteins.classes) == 2 else "")
    say(f"sha256 {proteins.digest}")
    missing = [name for name in SPLITS if "split" in frame and name not in set(frame["split"])]
    if missing:
        say(f"note: no protein in split {', '.join(missing)}; training needs train and valid", err=True)


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
    evidence: Annotated[
        str | None,
        typer.Option(help="Only entries with a TF term on evidence of these codes, such as exp,ida; or experimental."),
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="One answer instead of pages: nothing to go on with, and all in memory.")
    ] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew; what is complete stays until then.")] = False,
    url: Annotated[str | None, typer.Option(help="Another address of the search, such as a mirror's.")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests per second at most.")] = None,
    retries: Annotated[int | None, typer.Option(help="Retries of one page in a row.")] = None,
    backoff: Annotated[float | None, typer.Option(help="Seconds that double from retry to retry.")] = None,
) -> None:
    """Download entries of UniProtKB page by page; the same command goes on after an interruption."""
    from tfclass.config import from_mapping
    from tfclass.data.download import download
    from tfclass.data.query import FetchConfig, with_evidence
    from tfclass.data.uniprot import UniProt

    given = {"query": query, "url": url, "rate": rate, "retries": retries, "backoff": backoff, "stream": stream or None}
    values = curation()["fetch"] | {key: value for key, value in given.items() if value is not None}
    if taxon is not None:
        values["query"] = f"({values['query']}) AND (taxonomy_id:{taxon})"
    with named_as_options("curation.fetch", (key for key, value in given.items() if value is not None)):
        config = from_mapping(FetchConfig, values, "curation.fetch")
    if evidence is not None:
        codes = config.experimental if evidence == "experimental" else evidence.lower().split(",")
        if not all(code.isalpha() for code in codes):
            expected = "codes such as exp,ida (three letters each), or experimental"
            raise typer.BadParameter(f"{evidence!r} is none of {expected}", param_hint="--evidence")
        config = replace(config, query=with_evidence(config.query, config.evidence_term, codes))
    with stop_at_once(goes_on=not config.stream), _bar("entries") as (advance, note):
        uniprot = UniProt(config, lambda reason, seconds: note(f"{reason}; again in {seconds:.0f} s"))
        there = download(output, uniprot, restart=restart, on_page=advance)
    content = there.manifest
    release = f"release {content['release'] or 'unknown'} ({content['release_date'] or 'no date'})"
    what = f"{content['entries']:,} entries of {content['source']}, {release}"
    state = f"{there.fetched} of {content['pages']} pages fetched" if there.fetched else "there already"
    say(f"{output}: {what}; {state}", err=True)


@app.command()
def label(
    folder: Annotated[Path, typer.Argument(help="A complete download.")] = Path("data/raw/uniprot"),
    output: Annotated[Path, typer.Option("-o", "--output", help="The table to write, ending in .tsv.")] = Path(
        "data/interim/swissprot.tsv"
    ),
    rules: Annotated[
        Path | None, typer.Option(help="A YAML file with other rules, shaped like conf/corpus/swissprot.yaml.")
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(
            help="A download made with --evidence: what is not in it is no TF, and left out where a rule says so."
        ),
    ] = None,
    conflicts: Annotated[
        str | None, typer.Option(help="leave_out or positive: a sequence that is TF in one entry and not in another.")
    ] = None,
) -> None:
    """Turn a download into a labelled table, and print how many entries each step lost."""
    from tfclass.config import from_mapping
    from tfclass.data.curation import UNPROVEN, label_download
    from tfclass.data.labels import LabelConfig, Labeller
    from tfclass.io.files import make_folder

    values = _rules(rules) | ({} if conflicts is None else {"conflicts": conflicts})
    with named_as_options("curation.label", () if conflicts is None else ("conflicts",)):
        labeller = Labeller(from_mapping(LabelConfig, values, "curation.label"))
    make_folder(output.parent)
    with stop_at_once(goes_on=False), _bar("rows, twice") as (advance, _):
        funnel = label_download(folder, output, labeller, evidence=evidence, on_rows=advance)
    _print_funnel(funnel)
    if evidence is not None:
        others = sum(n for rule, n in funnel["entries_by_rule"].items() if rule.endswith(UNPROVEN))
        say(f"{evidence}: lacks {others:,} entries that a rule calls TF; they are left out", err=True)
    say(f"{output}: {funnel['rows_out']:,} proteins, {funnel['labels']['TF']:,} of them TF", err=True)


@app.command()
def terms(
    ontology: Annotated[Path, typer.Argument(help="The Gene Ontology as an OBO file, such as go-basic.obo.")],
    rules: Annotated[
        Path | None, typer.Option(help="A YAML file with other rules, shaped like conf/corpus/swissprot.yaml.")
    ] = None,
) -> None:
    """Hold the terms of the label rules against the Gene Ontology; status 1 where they differ."""
    from tfclass.config import from_mapping
    from tfclass.data.labels import LabelConfig
    from tfclass.data.ontology import compare_terms, read_obo

    config = from_mapping(LabelConfig, _rules(rules), "curation.label")
    differences = list(compare_terms(config.rules, read_obo(ontology)))
    for difference in differences:
        say(difference)
    say(f"{ontology}: {len(differences)} differences", err=True)
    if differences:
        raise typer.Exit(1)


def curation() -> dict[str, Any]:
    """Read how corpora are made, from the configuration that ships."""
    import yaml

    return yaml.safe_load((files("tfclass.conf") / "corpus" / "swissprot.yaml").read_bytes())["curation"]


def _rules(path: Path | None) -> dict[str, Any]:
    import yaml

    if path is None:
        return curation()["label"]
    try:
        return dict(yaml.safe_load(path.read_bytes())["curation"]["label"])
    except (OSError, yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        expected = "a YAML file with curation.label, as in conf/corpus/swissprot.yaml"
        raise ConfigError(str(path), f"something that cannot be used ({error})", expected, path=str(path)) from error


@contextmanager
def named_as_options(part: str, options: Iterable[str]) -> Iterator[None]:
    """Name keys of a configuration in errors as the options by which this command takes them.

    Parameters
    ----------
    part : str
        Where the keys are, such as ``split``.
    options : iterable of str
        Keys that were given by an option: ``max_members`` by ``--max-members``.
    """
    known = tuple(options)

    def option(match: re.Match[str]) -> str:
        return f"--{match[1].replace('_', '-')}" if match[1] in known else match[0]

    try:
        yield
    except ConfigError as error:
        key = rf"\b{re.escape(part)}\.(\w+)"
        error.where, error.found, error.expected, error.action = (
            re.sub(key, option, text) for text in (error.where, error.found, error.expected, error.action)
        )
        raise


@contextmanager
def _bar(unit: str) -> Iterator[tuple[Callable[[int, int], None], Callable[[str], None]]]:
    """Show a bar on stderr where that is a terminal; give what moves it, and what says a line beside it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not has_terminal()) as bar:
        task = bar.add_task(unit, total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield advance, lambda text: console.print(escaped(text))


def _print_funnel(funnel: dict[str, Any]) -> None:
    _print_steps(funnel)
    counts = {name: {label: of[label] for label in funnel["labels"]} for name, of in funnel["kingdoms"].items()}
    _print_kingdoms(counts, "TF")
    for group in funnel["conflicts"][:_SHOWN]:
        say("conflict: " + ", ".join(f"{name} is {own}" for name, own in group.items()), err=True)
    for name in funnel["ids_with_two_sequences"][:_SHOWN]:
        say(f"two sequences: {name}", err=True)
    if max(len(funnel["conflicts"]), len(funnel["ids_with_two_sequences"])) > _SHOWN:
        say("and more, all of them in the .funnel.json", err=True)


def _print_steps(funnel: dict[str, Any]) -> None:
    say(f"{'':<24}{'lost':>10}{'left':>10}")
    say(f"{'rows in':<24}{'':>10}{funnel['rows_in']:>10,}")
    for step in funnel["steps"]:
        say(f"{step['step']:<24}{step['lost']:>10,}{step['left']:>10,}  {step['why']}")
    say(f"{'rows out':<24}{'':>10}{funnel['rows_out']:>10,}\n")


def _print_kingdoms(counts: dict[str, dict[str, int]], positive: str) -> None:
    """Print how many proteins of each class a kingdom has and, unless `positive` is empty, the share of that class."""
    labels = list(next(iter(counts.values())))
    share = [f"{positive} share"] if positive else []
    say(f"{'kingdom':<24}" + "".join(f"{name:>12}" for name in (*labels, "proteins", *share)))
    for kingdom, of in counts.items():
        total = sum(of.values())
        numbers = "".join(f"{n:>12,}" for n in (*of.values(), total))
        say(f"{kingdom:<24}{numbers}" + (f"{of[positive] / total:>12.1%}" if positive else ""))
