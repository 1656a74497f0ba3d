"""``tfclass train``: a labelled table in, a bundle out."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer


def train(context: typer.Context) -> None:
    """Train a network; configured by Hydra overrides (`tfclass train --help` lists them)."""
    from tfclass.cli.composition import run_with_hydra
    from tfclass.config import TrainConfig

    run_with_hydra("train", TrainConfig, _job, context.args)


def _job(values: Mapping[str, Any]) -> None:
    from tfclass.cli.console import training_display
    from tfclass.cli.signals import stop_on_signal
    from tfclass.config import TrainConfig, from_mapping
    from tfclass.training.loop import Interrupted
    from tfclass.workflow import train_and_package

    config = from_mapping(TrainConfig, _resumed(values) if values.get("resume") else values)
    with stop_on_signal() as should_stop, training_display(config.training.epochs) as hooks:
        try:
            trained = train_and_package(config, hooks._replace(should_stop=should_stop))
        except Interrupted:
            folder = config.resume or config.run_dir
            typer.echo(f"tfclass: interrupted; go on with: tfclass train resume={folder}", err=True)
            raise typer.Exit(130) from None
    typer.echo(f"bundle: {trained.bundle}", err=True)


def _resumed(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the interrupted run's own configuration, so that nothing has to be typed again."""
    from hydra.core.hydra_config import HydraConfig

    from tfclass.errors import CheckpointError, ConfigError
    from tfclass.workflow import RUN_FILE

    others = [o for o in HydraConfig.get().overrides.task if not o.startswith("resume=")]
    if others:
        expected = "no other option: the interrupted run's configuration is used"
        raise ConfigError("resume", f"it together with {' '.join(others)}", expected, key="resume")
    folder = Path(str(values["resume"]))
    try:
        saved = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))["config"]
    except (OSError, ValueError, KeyError):
        action = "name the folder of an interrupted run"
        raise CheckpointError(str(folder), f"no readable {RUN_FILE}", action=action, path=str(folder)) from None
    return {**saved, "resume": str(folder)}
