"""``tfclass zoo``: every network on one corpus with the same budget, and one table."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tfclass.training.loop import Hooks


def zoo(context: typer.Context) -> None:
    """Train and compare all networks; configured by Hydra overrides (`tfclass zoo --help` lists them)."""
    from tfclass.cli.composition import run_with_hydra
    from tfclass.config import ZooConfig

    run_with_hydra("zoo", ZooConfig, _job, context.args)


def _job(values: Mapping[str, Any]) -> None:
    from tfclass.cli.console import print_zoo, training_display
    from tfclass.cli.signals import stop_on_signal
    from tfclass.config import ZooConfig, from_mapping
    from tfclass.training.loop import Interrupted
    from tfclass.workflow import run_zoo

    config = from_mapping(ZooConfig, values)
    with stop_on_signal() as should_stop, ExitStack() as displays:

        def hooks_of(name: str) -> "Hooks":
            displays.close()
            typer.echo(name, err=True)
            hooks = displays.enter_context(training_display(config.training.epochs))
            return hooks._replace(should_stop=should_stop)

        try:
            table = run_zoo(config, hooks_of)
        except Interrupted:
            typer.echo("tfclass: interrupted; the same command goes on", err=True)
            raise typer.Exit(130) from None
    print_zoo(table, config.corpus.name, config.evaluation.split)
