"""``tfclass train``: a labelled table in, a bundle out; with ``-m``, one bundle for each combination of values."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from hydra.conf import HydraConf

    from tfclass.config import TrainConfig
    from tfclass.tracking.log import Run
    from tfclass.training.distributed import Processes


def train(context: typer.Context) -> None:
    """Train a network; configured by Hydra overrides (`tfclass train --help` lists them)."""
    from tfclass.cli.composition import run_with_hydra
    from tfclass.config import TrainConfig
    from tfclass.errors import WorkerError
    from tfclass.training.distributed import process_group
    from tfclass.training.trainer import Interrupted

    jobs = _Jobs()
    try:
        with process_group() as jobs.processes, jobs.parent_run:
            run_with_hydra("train", TrainConfig, jobs.run, context.args)
    except Interrupted:
        typer.echo(f"tfclass: interrupted; go on with: {jobs.continuation}", err=True)
        raise typer.Exit(130) from None
    except WorkerError as error:
        raise WorkerError(f"{error}; go on with: {jobs.continuation}" if jobs.continuation else str(error)) from error


class _Jobs:
    """One training, or those of a multirun, which share a parent run in MLflow until `parent_run` closes."""

    processes: "Processes"

    def __init__(self) -> None:
        self.parent_run = ExitStack()
        self.parent: Run | None = None
        self.continuation = ""

    def run(self, values: Mapping[str, Any]) -> None:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        from tfclass.cli.console import training_display
        from tfclass.cli.terminal import stop_on_signal
        from tfclass.config import TrainConfig, from_mapping
        from tfclass.errors import ConfigError
        from tfclass.overrides import override
        from tfclass.pipelines.train import train_and_package
        from tfclass.training.trainer import Callbacks

        hydra, processes = HydraConfig.get(), self.processes
        config = _resumed(values) if values.get("resume") else from_mapping(TrainConfig, values)
        # Each process would name a folder by its own clock.
        config = processes.gather(config)[0]
        self.continuation = f"tfclass train {override('resume', config.resume or config.run_dir)}"
        if hydra.mode == RunMode.MULTIRUN and processes.size > 1:
            raise ConfigError(f"-m: found {processes.size} processes; expected one training at a time; leave -m out")
        if hydra.mode == RunMode.MULTIRUN:
            self.continuation = f"the same command and {override('hydra.sweep.dir', hydra.sweep.dir)}"
            config = self._member(config, hydra)
        display = training_display(config.training.epochs) if processes.is_first else nullcontext(Callbacks())
        with stop_on_signal() as should_stop, display as callbacks:
            parent = self.parent.run_id if self.parent else ""
            trained = train_and_package(config, callbacks._replace(should_stop=should_stop), parent, processes)
        if not processes.is_first:
            return
        if self.parent:
            best = max(entry["valid_ap"] for entry in trained.history)
            self.parent.log_step({"valid_ap": best}, step=hydra.job.num)
        typer.echo(f"bundle: {trained.bundle}", err=True)
        if trained.registered:
            typer.echo(f"registered: {trained.registered}", err=True)

    def _member(self, config: "TrainConfig", hydra: "HydraConf") -> "TrainConfig":
        """Name a training of a multirun by its values; resume it where an interrupted multirun left it."""
        from tfclass.tracking.log import tracked
        from tfclass.tracking.record import Facts
        from tfclass.training.checkpoint import NAME as CHECKPOINT

        # What is the same in every job is on the command line as it is.
        varied = dict(word.split("=", 1) for word in hydra.overrides.task if word not in sys.argv)
        if self.parent is None:
            tags = {"job": "sweep", "corpus": config.corpus.name, "split": config.split.policy}
            name = config.tracking.run_name or f"sweep {config.corpus.name}"
            tracking = replace(config.tracking, run_name=name)
            chosen = [argument for argument in sys.argv if argument.split("=")[0] in varied]
            facts = Facts(tags, documents={"sweep.json": {"overrides": chosen, "folder": hydra.sweep.dir}})
            self.parent = self.parent_run.enter_context(tracked(tracking, Path(hydra.sweep.dir), name, facts))
        # The last part of a key is enough for whoever wrote the command.
        name = " ".join(f"{key.rpartition('.')[2]}={value}" for key, value in varied.items())
        resume = config.resume or (config.run_dir if (Path(config.run_dir) / CHECKPOINT).exists() else "")
        # Trainings of a comparison are not registered: they would crowd out the models that are meant for use.
        return replace(config, resume=resume, tracking=replace(config.tracking, run_name=name, register=""))


def _resumed(values: Mapping[str, Any]) -> "TrainConfig":
    """Return the configuration of the interrupted run, which takes no other options."""
    from hydra.core.hydra_config import HydraConfig

    from tfclass.errors import ConfigError
    from tfclass.pipelines.run_folder import resumed_config

    others = [word for word in HydraConfig.get().overrides.task if not word.startswith("resume=")]
    if others:
        raise ConfigError(
            f"resume: found it together with {' '.join(others)}; expected no other option: "
            "the interrupted run's configuration is used"
        )
    return resumed_config(Path(str(values["resume"])))
