"""``tfclass zoo``: every network on one corpus with the same budget, and one table."""

from collections.abc import Mapping
from typing import Any

import typer


def zoo(context: typer.Context) -> None:
    """Train and compare all networks; configured by Hydra overrides (`tfclass zoo --help` lists them)."""
    from tfclass.cli.composition import run_with_hydra
    from tfclass.config import ZooConfig

    run_with_hydra("zoo", ZooConfig, _job, context.args)


def _job(values: Mapping[str, Any]) -> None:
    from tfclass.cli.console import print_zoo, trainings_display
    from tfclass.config import ZooConfig, from_mapping
    from tfclass.pipelines.zoo import run_zoo

    config = from_mapping(ZooConfig, values)
    with trainings_display(config.training.epochs) as hooks_of:
        table = run_zoo(config, hooks_of)
    print_zoo(table, config.corpus.name, config.evaluation.split)
