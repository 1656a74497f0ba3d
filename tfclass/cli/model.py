"""``tfclass model``: what models there are, what they are, whether they are whole."""

from typing import Annotated

import typer

app = typer.Typer(help="List, show and verify models.", no_args_is_help=True)

Model = Annotated[str, typer.Argument(help="A bundle folder, or the name of a shipped model.")]


@app.command("list")
def list_() -> None:
    """List the models that ship with tfclass."""
    from tfclass.bundle.bundle import load_bundle, shipped

    for name, folder in shipped().items():
        bundle = load_bundle(folder)
        typer.echo(f"{name}\t{bundle.config.name}\t{', '.join(bundle.classes)}\t{bundle.digest[:12]}")


@app.command()
def show(model: Model) -> None:
    """Print a model's card."""
    from tfclass.bundle.bundle import CARD, find_bundle, load_bundle

    folder = find_bundle(model)
    load_bundle(folder)
    typer.echo((folder / CARD).read_text(encoding="utf-8"))


@app.command()
def verify(model: Model) -> None:
    """Check every file of a model against its checksum."""
    from tfclass.bundle.bundle import find_bundle, load_bundle

    folder = find_bundle(model)
    bundle = load_bundle(folder)
    typer.echo(f"{folder}: whole (sha256 {bundle.digest})")
