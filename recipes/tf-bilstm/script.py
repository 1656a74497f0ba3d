"""Entry point of the command-line scripts."""

import sys
from pathlib import Path

import typer

from tfclass.errors import TfclassError


def run(app: typer.Typer) -> None:
    """Run a command; print a `TfclassError` as one line, and exit with its status."""
    try:
        app()
    except TfclassError as error:
        typer.echo(f"{Path(sys.argv[0]).name}: {error}", err=True)
        sys.exit(error.exit_code)
