"""What the scripts of the recipe share."""

import sys
from pathlib import Path

import typer

from tfclass.errors import TfclassError


def run(app: typer.Typer) -> None:
    """Run a script; an error of ours is one line and an exit status."""
    try:
        app()
    except TfclassError as error:
        typer.echo(f"{Path(sys.argv[0]).name}: {error}", err=True)
        sys.exit(error.exit_code)
