"""``tfclass sweep``: many trainings in search of good options."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import typer


def sweep(context: typer.Context) -> None:
    """Search for good options with Optuna; configured by Hydra overrides (`tfclass sweep --help` lists them)."""
    from tfclass.cli.composition import run_with_hydra
    from tfclass.config import SweepConfig

    run_with_hydra("sweep", SweepConfig, _job, context.args)


def _job(values: Mapping[str, Any]) -> None:
    from hydra.core.hydra_config import HydraConfig

    from tfclass.cli.console import trainings_display
    from tfclass.config import SweepConfig, from_mapping
    from tfclass.overrides import override
    from tfclass.pipelines.sweep import TABLE, run_sweep

    config = from_mapping(SweepConfig, values)
    with trainings_display(config.training.epochs) as callbacks_of:
        swept = run_sweep(config, callbacks_of)
    typer.echo(swept.trials.to_string(index=False, float_format=lambda value: f"{value:.4g}", na_rep=""))
    typer.echo(f"trials: {config.run_dir}/{TABLE}", err=True)
    if (swept.trials["state"] == "running").any():
        typer.echo("some trials run elsewhere, or were killed a moment ago; the same command goes on", err=True)
    if swept.best:
        fixed = [shlex.quote(each) for each in _of_training(HydraConfig.get().overrides.task, swept.best)]
        best = [override(name, value) for name, value in swept.best.items()]
        typer.echo(f"to train with the best: {' '.join(['tfclass', 'train', *fixed, *best])}", err=True)


def _of_training(overrides: Sequence[str], best: Collection[str]) -> list[str]:
    """Leave out what only a sweep knows, or what it has found."""
    keys = ((each, each.lstrip("+~").partition("=")[0]) for each in overrides)
    return [each for each, key in keys if key.partition(".")[0] not in ("study", "run_dir") and key not in best]
