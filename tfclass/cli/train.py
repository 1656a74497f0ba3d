"""``tfclass train``: a labelled table in, a bundle out."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tfclass.config import TrainConfig
    from tfclass.tracking.tracker import Tracker


def train(context: typer.Context) -> None:
    """Train a network; configured by Hydra overrides (`tfclass train --help` lists them)."""
    from tfclass.cli.composition import run_with_hydra
    from tfclass.cli.typed_overrides import typed
    from tfclass.config import TrainConfig
    from tfclass.overrides import override
    from tfclass.training.trainer import Interrupted

    last: list[str] = []
    try:
        with ExitStack() as sweep:
            job = _Job(sweep, last, typed(context.args, TrainConfig))
            run_with_hydra("train", TrainConfig, job, context.args)
    except Interrupted:
        typer.echo(f"tfclass: interrupted; go on with: tfclass train {override('resume', last[0])}", err=True)
        raise typer.Exit(130) from None


class _Job:
    """Trains once for each call; the trainings of a sweep share a parent in MLflow, open until `sweep` closes."""

    def __init__(self, sweep: ExitStack, last: list[str], arguments: list[str]) -> None:
        self.sweep, self.last, self.arguments = sweep, last, arguments
        self.parent: Tracker | None = None

    def __call__(self, values: Mapping[str, Any]) -> None:
        from hydra.core.hydra_config import HydraConfig

        from tfclass.cli.console import training_display
        from tfclass.cli.signals import stop_on_signal
        from tfclass.config import TrainConfig, from_mapping
        from tfclass.pipelines.train import train_and_package

        config = _resumed(values) if values.get("resume") else from_mapping(TrainConfig, values)
        self.last[:] = [config.resume or config.run_dir]
        config = self._in_sweep(config)
        with stop_on_signal() as should_stop, training_display(config.training.epochs) as hooks:
            parent = self.parent.run_id if self.parent else ""
            trained = train_and_package(config, hooks._replace(should_stop=should_stop), parent=parent)
        if self.parent:
            best = max(entry["valid_ap"] for entry in trained.history)
            self.parent.metrics({"valid_ap": best}, step=HydraConfig.get().job.num)
        typer.echo(f"bundle: {trained.bundle}", err=True)
        if trained.registered:
            typer.echo(f"registered: {trained.registered}", err=True)

    def _in_sweep(self, config: "TrainConfig") -> "TrainConfig":
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        from tfclass.tracking.tracker import tracked

        hydra = HydraConfig.get()
        if hydra.mode != RunMode.MULTIRUN:
            return config
        # What is the same in every job is on the command line as it is.
        varied = [override for override in hydra.overrides.task if override not in self.arguments]
        if self.parent is None:
            tags = {"job": "sweep", "corpus": config.corpus.name, "split": config.split.policy}
            name = config.tracking.run_name or f"sweep {config.corpus.name}"
            whole = replace(config.tracking, run_name=name)
            tracker = self.sweep.enter_context(tracked(whole, name, tags, journal=Path(hydra.sweep.dir)))
            swept = {override.split("=")[0] for override in varied}
            chosen = [argument for argument in self.arguments if argument.split("=")[0] in swept]
            tracker.facts("sweep.json", {"overrides": chosen, "folder": str(hydra.sweep.dir)})
            self.parent = tracker
        # A key is known by its last part to whoever wrote the sweep.
        words = (override.partition("=") for override in varied)
        name = " ".join(f"{key.rpartition('.')[2]}={value}" for key, _, value in words)
        return replace(config, tracking=replace(config.tracking, run_name=name, register=""))


def _resumed(values: Mapping[str, Any]) -> "TrainConfig":
    """Give the interrupted run's own configuration, so that nothing has to be typed again."""
    from hydra.core.hydra_config import HydraConfig

    from tfclass.config import TrainConfig, from_mapping
    from tfclass.errors import CheckpointError, ConfigError
    from tfclass.overrides import override
    from tfclass.pipelines.run_folder import RUN_FILE, newest_run, read_record, resumed

    others = [o for o in HydraConfig.get().overrides.task if not o.startswith("resume=")]
    if others:
        expected = "no other option: the interrupted run's configuration is used"
        raise ConfigError("resume", f"it together with {' '.join(others)}", expected, key="resume")
    folder = Path(str(values["resume"]))
    record = read_record(folder)
    if not record:
        found, action = f"no {RUN_FILE}", "name the folder of an interrupted run"
        if newest := newest_run(folder):
            found = f"no {RUN_FILE}: runs are below it"
            action = f"resume the newest one with tfclass train {override('resume', str(newest))}"
        elif folder.is_dir():
            found = f"no {RUN_FILE}: nothing was trained there yet"
            action = f"start anew with tfclass train {override('run_dir', str(folder))} and the options of before"
        raise CheckpointError(str(folder), found, action=action, path=str(folder))
    try:
        return from_mapping(TrainConfig, resumed(folder, record))
    except ConfigError as error:
        where, action = f"{folder / RUN_FILE}, {error.where}", "restore the file, or start anew"
        raise CheckpointError(where, error.found, error.expected, action, path=str(folder)) from None
