"""``tfclass track``: runs that MLflow lacks, logged from their folders."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer


def track(
    folders: Annotated[list[Path], typer.Argument(help="Folders of trainings, reports or comparisons.")],
) -> None:
    """Log to MLflow what it lacks of a finished or interrupted run."""
    from tfclass.pipelines.run_folder import RUN_FILE, alone_in
    from tfclass.tracking.log import track as log_folder

    for folder in folders:
        # A training that is under way logs itself.
        with alone_in(folder) if (folder / RUN_FILE).exists() else nullcontext():
            record, is_new = log_folder(folder)
        outcome = "logged to" if is_new else "nothing that is not in"
        typer.echo(f"{folder}: {outcome} MLflow run {record.run_id}", err=True)
        if is_new and record.registered:
            typer.echo(f"registered: {record.registered}", err=True)
