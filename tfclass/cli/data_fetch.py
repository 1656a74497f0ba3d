"""``tfclass data fetch`` and ``label``: from UniProt to a labelled table."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from tfclass.cli.data_console import print_kingdoms, print_steps
from tfclass.cli.options import named_as_options
from tfclass.cli.progress import counted
from tfclass.cli.terminal import say

# Contradictions that are printed; the funnel beside the table has all.
_SHOWN = 5


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
    restart: Annotated[bool, typer.Option("--restart", help="Begin anew; what is complete stays until then.")] = False,
    url: Annotated[str | None, typer.Option(help="Another address of the search, such as a mirror's.")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests per second at most.")] = None,
    retries: Annotated[int | None, typer.Option(help="Retries of one page in a row.")] = None,
    backoff: Annotated[float | None, typer.Option(help="Seconds that double from retry to retry.")] = None,
) -> None:
    """Download entries of UniProtKB page by page; the same command goes on after an interruption."""
    from tfclass.data.curation import FetchConfig, curation_config, with_evidence
    from tfclass.data.download import download
    from tfclass.data.uniprot import UniProt

    given = {"query": query, "url": url, "rate": rate, "retries": retries, "backoff": backoff}
    with named_as_options("curation.fetch", given):
        config = curation_config(FetchConfig, "fetch", given)
    if taxon is not None:
        config = replace(config, query=f"({config.query}) AND (taxonomy_id:{taxon})")
    if evidence is not None:
        codes = config.experimental if evidence == "experimental" else evidence.lower().split(",")
        if not all(code.isalpha() for code in codes):
            expected = "codes such as exp,ida (three letters each), or experimental"
            raise typer.BadParameter(f"{evidence!r} is none of {expected}", param_hint="--evidence")
        config = replace(config, query=with_evidence(config.query, config.evidence_term, codes))
    with counted("entries", goes_on=True) as (advance, note):
        uniprot = UniProt(config, lambda reason, seconds: note(f"{reason}; again in {seconds:.0f} s"))
        there = download(output, uniprot, restart=restart, on_page=advance)
    content = there.manifest
    release = f"release {content['release'] or 'unknown'} ({content['release_date'] or 'no date'})"
    what = f"{content['entries']:,} entries of {content['source']}, {release}"
    state = f"{there.fetched} of {content['pages']} pages fetched" if there.fetched else "there already"
    say(f"{output}: {what}; {state}", err=True)


def label(
    folder: Annotated[Path, typer.Argument(help="A complete download.")] = Path("data/raw/uniprot"),
    output: Annotated[Path, typer.Option("-o", "--output", help="The table to write, ending in .tsv.")] = Path(
        "data/interim/swissprot.tsv"
    ),
    rules: Annotated[
        Path | None, typer.Option(help="A YAML file with other rules, shaped like conf/curation/swissprot.yaml.")
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(help="A download made with --evidence; only entries that are in it too are labelled TF."),
    ] = None,
    conflicts: Annotated[
        str | None, typer.Option(help="leave_out or positive: a sequence that is TF in one entry and not in another.")
    ] = None,
) -> None:
    """Turn a download into a labelled table, and print how many entries each step lost."""
    from tfclass.data.curation import LabelConfig, curation_config
    from tfclass.data.labelling import UNSUPPORTED, label_download
    from tfclass.data.labels import Labeller

    given = {"conflicts": conflicts}
    with named_as_options("curation.label", given if conflicts is not None else ()):
        labeller = Labeller(curation_config(LabelConfig, "label", given, file=rules))
    with counted("entries", goes_on=False) as (advance, _):
        funnel = label_download(folder, output, labeller, evidence=evidence, on_rows=advance)
    _print_funnel(funnel)
    if evidence is not None:
        others = sum(n for rule, n in funnel["entries_by_rule"].items() if rule.endswith(UNSUPPORTED))
        say(f"{evidence}: lacks {others:,} entries that a rule labels TF; they are left out", err=True)
    say(f"{output}: {funnel['rows_out']:,} proteins, {funnel['labels']['TF']:,} of them TF", err=True)


def _print_funnel(funnel: dict[str, Any]) -> None:
    print_steps(funnel)
    counts = {name: {label: own[label] for label in funnel["labels"]} for name, own in funnel["kingdoms"].items()}
    print_kingdoms(counts, "TF")
    for labels in funnel["conflicts"][:_SHOWN]:
        say("conflict: " + ", ".join(f"{name} is {own}" for name, own in labels.items()), err=True)
    for name in funnel["ids_with_two_sequences"][:_SHOWN]:
        say(f"two sequences: {name}", err=True)
    if max(len(funnel["conflicts"]), len(funnel["ids_with_two_sequences"])) > _SHOWN:
        say("and more, all of them in the .funnel.json", err=True)
