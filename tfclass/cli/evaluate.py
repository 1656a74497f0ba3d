"""``tfclass evaluate``: a bundle and a labelled table in, a report out."""

from collections.abc import Mapping
from typing import Any

import typer


def evaluate(context: typer.Context) -> None:
    """Score a model on the test split; configured by Hydra overrides (`tfclass evaluate --help` lists them)."""
    from tfclass.cli.composition import run_with_hydra
    from tfclass.config import EvaluateConfig

    run_with_hydra("evaluate", EvaluateConfig, _job, context.args)


def _job(values: Mapping[str, Any]) -> None:
    from tfclass.cli.console import print_report
    from tfclass.config import EvaluateConfig, from_mapping
    from tfclass.workflow import evaluate_bundle

    config = from_mapping(EvaluateConfig, values)
    report = evaluate_bundle(config)
    print_report(report.content)
    typer.echo(f"report: {config.report}", err=True)
