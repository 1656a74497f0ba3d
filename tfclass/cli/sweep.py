"""``tfclass sweep``: many trainings in search of good options."""

import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tfclass.training.loop import Hooks


def sweep(context: typer.Context) -> None:
    """Search for good options with Optuna; configured by Hydra overrides (`tfclass sweep --help` lists them)."""
    from tfclass.cli.composition import run_with_hydra
    from tfclass.workflow.search import SweepConfig

    run_with_hydra("sweep", SweepConfig, _job, context.args)


def _job(values: Mapping[str, Any]) -> None:
    from tfclass.cli.console import training_display
    from tfclass.cli.signals import stop_on_signal
    from tfclass.config import from_mapping
    from tfclass.training.loop import Interrupted
    from tfclass.workflow.search import SweepConfig
    from tfclass.workflow.sweep import TABLE, run_sweep

    config = from_mapping(SweepConfig, values)
    with stop_on_signal() as should_stop, ExitStack() as displays:

        def hooks_of(title: str) -> "Hooks":
            displays.close()
            typer.echo(title, err=True)
            hooks = displays.enter_context(training_display(config.training.epochs))
            return hooks._replace(should_stop=should_stop)

        try:
            swept = run_sweep(config, hooks_of)
        except Interrupted:
            typer.echo("tfclass: interrupted; the same command goes on", err=True)
            raise typer.Exit(130) from None
    typer.echo(swept.trials.to_string(index=False, float_format=lambda value: f"{value:.4g}", na_rep=""))
    typer.echo(f"trials: {config.run_dir}/{TABLE}", err=True)
    if swept.best:
        overrides = shlex.join(f"{name}={value}" for name, value in swept.best.items())
        typer.echo(f"to train with the best: tfclass train ... {overrides}", err=True)
