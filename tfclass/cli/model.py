"""``tfclass model``: list, show, verify, export and extend models."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfclass.cli.options import Threads, thread_count
from tfclass.cli.terminal import at_work

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
def show(
    model: Model,
    profiles: Annotated[bool, typer.Option("--profiles", help="List its profiles instead, as TSV.")] = False,
) -> None:
    """Print a model's card, and what it can tell."""
    from tfclass.bundle.bundle import find_bundle, load_bundle, read_card
    from tfclass.bundle.card import without_head
    from tfclass.errors import escaped

    folder = find_bundle(model)
    bundle = load_bundle(folder)
    if profiles:
        _list_profiles(bundle)
        return
    typer.echo(escaped(without_head(read_card(folder)), keep="\n\t"))
    typer.echo("## What it tells\n\n| | |\n|---|---|")
    for name, value in _abilities(bundle).items():
        typer.echo(f"| {name} | {value} |")


def _list_profiles(bundle: "Bundle") -> None:
    from tfclass.channels.profile import ProfileChannel
    from tfclass.errors import BundleError, escaped
    from tfclass.io.tsv import tsv_cell

    channel = bundle.channels.get("profile")
    if not isinstance(channel, ProfileChannel):
        raise BundleError(f"{bundle.name}: found no profiles; add some with `tfclass model attach`")
    for cells in channel.listing():
        typer.echo("\t".join(tsv_cell(escaped(cell)) for cell in cells))


def _abilities(bundle: "Bundle") -> dict[str, str]:
    from tfclass.bundle.scorer import Scorer, channels_of

    listed = {
        "classes": ", ".join(bundle.classes),
        "families": str(len(bundle.config.families) or "no"),
        "DNA-binding domains": "yes" if bundle.config.domains else "no",
    }
    for name in channels_of(bundle):
        threshold = Scorer(bundle, name).decision_rule.threshold
        rule = "predicts the likeliest class" if threshold is None else f"threshold {threshold}"
        default = ", the default" if name == Scorer(bundle).channel else ""
        about = f"; {bundle.channels[name].describe()}" if name in bundle.channels else ""
        listed[f"channel {name}"] = rule + default + about
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

    from tfclass.bundle.bundle import find_bundle, load_bundle, read_card
    from tfclass.bundle.card import with_head
    from tfclass.bundle.save import save_bundle

    if name and not re.fullmatch(r"[\w.-]+", name):
        raise typer.BadParameter("a name has letters, digits, '.', '_' and '-'", param_hint="--name")
    source = find_bundle(model)
    bundle = load_bundle(source)
    bundle = replace(bundle, name=name or bundle.name)
    text = _given_card(card) if card else read_card(source)
    digest = save_bundle(bundle, folder, with_head(bundle, text) if name or card else text)
    typer.echo(f"{folder}: written (sha256 {digest})", err=True)


def _given_card(path: Path) -> str:
    from tfclass.errors import BundleError
    from tfclass.limits import MAX_CARD_BYTES, in_words

    try:
        with path.open("rb") as stream:
            content = stream.read(MAX_CARD_BYTES + 1)
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: the card cannot be read ({error})") from None
    if len(content) > MAX_CARD_BYTES:
        raise BundleError(f"{path}: the card is larger than {in_words(MAX_CARD_BYTES)}")
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
    prefilter: Annotated[
        float,
        typer.Option(
            min=-8.0, max=0.0, help="Search what the network gives such log-odds or more; -8 searches every protein."
        ),
    ] = -5.0,
    threads: Threads = 0,
) -> None:
    """Put profiles or a homology search beside a network; they are stacked on the split 'valid'.

    Channels that the model already has stay.
    """
    from tfclass.pipelines.attach import attach

    sources = {"profile": profiles} if profiles else {}
    sources |= {"homology": None} if homology else {}
    with at_work("fitting"):
        bundle = attach(model, table, output, sources, prefilter=prefilter, threads=thread_count(threads))
    for name, stacking in bundle.stacked.items():
        typer.echo(f"{name}: threshold {stacking.threshold:.4f}", err=True)
    typer.echo(f"{output}: written", err=True)
