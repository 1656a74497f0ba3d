"""``tfclass data fetch`` and ``label``: from UniProt to a labelled table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tfclass.cli.data_console import print_kingdoms, print_steps
from tfclass.cli.options import named_as_options
from tfclass.cli.terminal import counted, say

if TYPE_CHECKING:
    import pandas as pd

# Contradictions that are printed.
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
    output: Annotated[Path, typer.Option("-o", "--output", help="The table to write: .tsv or .tsv.gz.")] = Path(
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
    from tfclass.data.labelling import UNSUPPORTED, label_corpus
    from tfclass.data.labels import OTHER, Labeller

    given = {"conflicts": conflicts}
    with named_as_options("curation.label", given if conflicts is not None else ()):
        labeller = Labeller(curation_config(LabelConfig, "label", given, file=rules))
    with counted("entries", goes_on=False) as (advance, _):
        manifest, lost = label_corpus(folder, output, labeller, evidence=evidence, on_rows=advance)
    print_steps(manifest["funnel"])
    counts = _by_kingdom(manifest, (*labeller.config.kingdoms, OTHER))
    print_kingdoms(counts, "TF")
    _say_contradictions(lost, manifest["lost"]["name"])
    if evidence is not None:
        others = sum(n for rule, n in manifest["notes"].items() if rule.endswith(UNSUPPORTED))
        say(f"{evidence}: lacks {others:,} entries that a rule labels TF; they are left out", err=True)
    n_positive = sum(own["TF"] for own in counts.values())
    say(f"{output}: {manifest['table']['rows']:,} proteins, {n_positive:,} of them TF", err=True)


def _by_kingdom(manifest: Mapping[str, Any], kingdoms: Sequence[str]) -> dict[str, dict[str, int]]:
    """Return the number of proteins of each label, for the kingdoms that have any."""
    counts = {kingdom: {"TF": 0, "nonTF_hard": 0, "nonTF": 0} for kingdom in kingdoms}
    for group in manifest["sizes"]:
        counts[group["kingdom"]][group["label"]] = group["proteins"]
    return {kingdom: own for kingdom, own in counts.items() if any(own.values())}


def _say_contradictions(lost: "pd.DataFrame", place: str) -> None:
    from tfclass.data.labels import CONFLICT
    from tfclass.data.sources import TWO_SEQUENCES

    conflicts = lost.loc[lost["reason"] == CONFLICT, "detail"].unique()
    ids = sorted(lost.loc[lost["reason"] == TWO_SEQUENCES, "id"].unique())
    for detail in conflicts[:_SHOWN]:
        say(f"conflict: {detail}", err=True)
    for name in ids[:_SHOWN]:
        say(f"two sequences: {name}", err=True)
    if max(len(conflicts), len(ids)) > _SHOWN:
        say(f"and more, all of them in {place}", err=True)
