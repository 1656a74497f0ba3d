"""``tfclass replay``: records that MLflow missed, delivered later."""

from pathlib import Path
from typing import Annotated

import typer


def replay(
    folders: Annotated[list[Path], typer.Argument(help="Run folders or reports that a warning named.")],
) -> None:
    """Deliver to MLflow what it could not take while a training or an evaluation ran."""
    from tfclass.tracking.delivery import replay as deliver

    for folder in folders:
        done = deliver(folder)
        typer.echo(f"{folder}: {done.n_entries} records delivered to MLflow run {done.run_id}", err=True)
        if done.said:
            typer.echo(f"registered: {done.said}", err=True)
