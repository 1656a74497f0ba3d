"""``tfclass model``: what models there are, what they are, whether they are whole; what stands beside a network."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfclass.cli.options import Threads, thread_count
from tfclass.cli.progress import at_work

if TYPE_CHECKING:
    from tfclass.bundle.bundle import Bundle

app = typer.Typer(help="List, show, verify, export and extend models.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(help="A bundle folder, or the name of a shipped model.")]


@app.command("list")
def list_() -> None:
    """List the models that ship with tfclass."""
    from tfclass.bundle.bundle import load_bundle, shipped

    for name, folder in shipped().items():
        bundle = load_bundle(folder)
        typer.echo(f"{name}\t{bundle.network}\t{', '.join(bundle.classes)}\t{bundle.digest[:12]}")


@app.command()
def show(model: Model) -> None:
    """Print a model's card, and what it can tell."""
    from tfclass.bundle.bundle import find_bundle, load_bundle, read_card
    from tfclass.errors import escaped

    folder = find_bundle(model)
    bundle = load_bundle(folder)
    typer.echo(escaped(read_card(folder), keep="\n\t"))
    typer.echo("## What it tells\n\n| | |\n|---|---|")
    for name, value in _abilities(bundle).items():
        typer.echo(f"| {name} | {value} |")


def _abilities(bundle: "Bundle") -> dict[str, str]:
    from tfclass.bundle.answers import channels_of, choose_channel, decision_rule_of

    profiles, reference = bundle.profiles, bundle.reference
    listed = {
        "classes": ", ".join(bundle.classes),
        "families": str(len(bundle.config.families) or "no"),
        "DNA-binding domains": "yes" if bundle.config.domains else "no",
        "profiles": f"{len(profiles.profiles):,}, of {profiles.states:,} states" if profiles else "no",
        "reference for homology": f"{len(reference.ids):,} proteins" if reference else "no",
    }
    for channel in channels_of(bundle):
        threshold = decision_rule_of(bundle, channel).threshold
        called = "calls the likeliest class" if threshold is None else f"calls from {threshold}"
        default = ", the default" if channel == choose_channel(bundle) else ""
        listed[f"evidence: {channel}"] = called + default
    return listed


@app.command()
def verify(model: Model) -> None:
    """Check every file of a model against its checksum."""
    from tfclass.bundle.bundle import find_bundle, load_bundle

    folder = find_bundle(model)
    bundle = load_bundle(folder)
    typer.echo(f"{folder}: whole (sha256 {bundle.digest})")


@app.command()
def export(
    model: Model,
    folder: Annotated[Path, typer.Argument(help="Where the copy goes.")],
    name: Annotated[str, typer.Option(help="Another name for the copy.")] = "",
    card: Annotated[Path | None, typer.Option(help="A Markdown file instead of the model's card.")] = None,
) -> None:
    """Copy a model, under another name or with another card; weights and calibration stay."""
    from dataclasses import replace

    from tfclass.bundle.bundle import find_bundle, load_bundle, read_card, save_bundle

    if name and not re.fullmatch(r"[\w.-]+", name):
        raise typer.BadParameter("a name has letters, digits, '.', '_' and '-'", param_hint="--name")
    source = find_bundle(model)
    bundle = load_bundle(source)
    text = _given_card(card) if card else read_card(source)
    digest = save_bundle(replace(bundle, name=name or bundle.name), folder, text)
    typer.echo(f"{folder}: written (sha256 {digest})", err=True)


def _given_card(path: Path) -> str:
    from tfclass.errors import BundleError
    from tfclass.limits import MAX_CARD_BYTES, in_words

    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_CARD_BYTES + 1)
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(str(path), f"a card that cannot be read ({error})", path=str(path)) from None
    if len(content) > MAX_CARD_BYTES:
        raise BundleError(str(path), "a larger card", f"at most {in_words(MAX_CARD_BYTES)}", path=str(path))
    return text


@app.command("attach")
def attach_(
    model: Model,
    table: Annotated[Path, typer.Argument(help="A labelled table with the columns cluster and split.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The bundle to write.")],
    profiles: Annotated[Path | None, typer.Option(help="What `tfclass profiles build` wrote.")] = None,
    homology: Annotated[
        bool, typer.Option("--homology", help="Search the split 'train' with MMseqs2; its sequences go along.")
    ] = False,
    threads: Threads = 0,
) -> None:
    """Put profiles or a homology search beside a network; how they are read is fitted on the split 'valid'.

    Channels that the model already has stay.
    """
    from tfclass.pipelines.attach import attach

    with at_work("fitting"):
        bundle = attach(model, table, output, profiles=profiles, homology=homology, threads=thread_count(threads))
    for reading, combiner in bundle.combiners.items():
        typer.echo(f"{reading}: called from {combiner.threshold:.4f}", err=True)
    typer.echo(f"{output}: written", err=True)
