"""``tfclass profiles``: profile hidden Markov models from a table, and for a table."""

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfclass.cli.corpora import Threads, all_or, at_work
from tfclass.errors import ConfigError

if TYPE_CHECKING:
    from tfclass.pipelines.pseudo_label_rules import EnrichmentRules

app = typer.Typer(help="Make profiles of known transcription factors, and use them.", no_args_is_help=True)

Table = Annotated[Path, typer.Argument(help="A labelled table with the columns cluster and split.")]
Domains = Annotated[
    Path | None, typer.Option(help="Known DNA-binding domains: a table of domain, start, end and sequence.")
]
Rules = Annotated[Path | None, typer.Option(help="YAML in place of conf/enrichment.yaml.")]


@app.command()
def build(
    table: Table,
    output: Annotated[Path, typer.Option("-o", "--output", help="The profiles to write, such as profiles.h3m.zst.")],
    domains: Domains = None,
    rules: Rules = None,
    threads: Threads = 0,
) -> None:
    """Make profiles of the transcription factors in the split 'train'."""
    from tfclass.pipelines.profiles import build_profiles

    with at_work("reading") as on_progress:
        library = build_profiles(
            table, output, read_rules(rules), domains, threads=all_or(threads), on_progress=on_progress
        )
    typer.echo(f"{output}: {len(library.profiles):,} profiles of {library.states:,} states", err=True)


@app.command()
def enrich(
    table: Table,
    teacher: Annotated[str, typer.Option(help="A model with profiles: a bundle folder, or the name of a shipped one.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The table to write: .tsv.")],
    domains: Domains = None,
    families: Annotated[
        Path | None, typer.Option(help="A table of transcription factors whose label is their family.")
    ] = None,
    unlabelled: Annotated[Path | None, typer.Option(help="FASTA: what the teacher is sure of is labelled.")] = None,
    rules: Rules = None,
    threads: Threads = 0,
) -> None:
    """Make a training table that says more: families, places of domains, proteins labelled by a model.

    The rows of valid and test keep their labels; only the split 'train' grows.
    """
    from tfclass.pipelines.pseudo_labels import Extras, enrich_table

    extras = Extras(domains, families, unlabelled)
    with at_work("enriching"):
        done = enrich_table(table, output, teacher, read_rules(rules), extras, threads=all_or(threads))
    for what, count in done.items():
        typer.echo(f"{what}: {count:,}", err=True)


def read_rules(path: Path | None) -> "EnrichmentRules":
    """Read the rules of a YAML file, or of the one that ships; see `EnrichmentRules`."""
    import yaml

    from tfclass.config import from_mapping
    from tfclass.pipelines.pseudo_label_rules import EnrichmentRules

    source = path or files("tfclass.conf") / "enrichment.yaml"
    try:
        content = yaml.safe_load(source.read_bytes())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        expected = "YAML as in conf/enrichment.yaml"
        raise ConfigError(str(source), f"something that cannot be read ({error})", expected) from error
    return from_mapping(EnrichmentRules, content, where=str(source))
