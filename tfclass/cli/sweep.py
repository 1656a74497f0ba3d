"""``tfclass sweep``: many trainings in search of good options."""

import shlex
from collections.abc import Mapping
from typing import Any

import typer


def sweep(context: typer.Context) -> None:
    """Search for good options with Optuna; configured by Hydra overrides (`tfclass sweep --help` lists them)."""
    from tfclass.cli.composition import run_with_hydra
    from tfclass.workflow.search import SweepConfig

    run_with_hydra("sweep", SweepConfig, _job, context.args)


def _job(values: Mapping[str, Any]) -> None:
    from tfclass.cli.console import trainings_display
    from tfclass.config import from_mapping
    from tfclass.workflow.commands import for_hydra
    from tfclass.workflow.search import SweepConfig
    from tfclass.workflow.sweep import TABLE, run_sweep

    config = from_mapping(SweepConfig, values)
    with trainings_display(config.training.epochs) as hooks_of:
        swept = run_sweep(config, hooks_of)
    typer.echo(swept.trials.to_string(index=False, float_format=lambda value: f"{value:.4g}", na_rep=""))
    typer.echo(f"trials: {config.run_dir}/{TABLE}", err=True)
    if swept.best:
        overrides = shlex.join(f"{name}={for_hydra(value)}" for name, value in swept.best.items())
        typer.echo(f"to train with the best: tfclass train ... {overrides}", err=True)
