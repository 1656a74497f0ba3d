"""``tfclass ui``: the MLflow UI, opened on the table of runs."""

from typing import Annotated

import typer

from tfclass.cli.terminal import stop_at_once


def ui(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 5000,
    experiment: Annotated[str, typer.Option(help="The experiment to open.")] = "tfclass",
) -> None:
    """Serve the MLflow UI on this machine, and print the address of the runs."""
    from tfclass.config import TrackingConfig
    from tfclass.tracking.ui import serve

    with stop_at_once(goes_on=False):
        serve(
            TrackingConfig.default(experiment=experiment),
            port,
            lambda address: typer.echo(f"\nopen {address}\n", err=True),
        )
