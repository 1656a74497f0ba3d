"""``tfclass evaluate``: a bundle and a labelled table in, a report out; and reports compared."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from tfclass.cli.terminal import stop_at_once


def evaluate(context: typer.Context) -> None:
    """Score a model on the test split, or compare reports; configured by Hydra (see `tfclass evaluate --help`).

    `tfclass evaluate compare A B...` compares reports, given by folder or MLflow run id, with the first of them.
    """
    from tfclass.cli.composition import run_with_hydra
    from tfclass.config import EvaluateConfig

    with stop_at_once(goes_on=False):
        if context.args[:1] == ["compare"]:
            _compare(context.args[1:])
        else:
            run_with_hydra("evaluate", EvaluateConfig, _job, context.args)


def _job(values: Mapping[str, Any]) -> None:
    from tfclass.cli.console import print_report
    from tfclass.config import EvaluateConfig, from_mapping
    from tfclass.evaluation.report import PAGE
    from tfclass.pipelines.evaluate import evaluate_bundle

    config = from_mapping(EvaluateConfig, values)
    report = evaluate_bundle(config)
    print_report(report.content)
    typer.echo(f"report: {Path(config.report) / PAGE}", err=True)


def _compare(arguments: Sequence[str]) -> None:
    from tfclass.cli.composition import run_with_hydra
    from tfclass.cli.console import print_comparison
    from tfclass.config import CompareConfig, from_mapping

    runs, others = _apart(arguments)

    def job(values: Mapping[str, Any]) -> None:
        from tfclass.pipelines.compare import compare_runs

        config = from_mapping(CompareConfig, values)
        print_comparison(compare_runs(config, runs))
        typer.echo(f"comparison: {config.report}", err=True)

    run_with_hydra("compare", CompareConfig, job, others)


def _apart(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separate runs from Hydra's overrides and flags; behind a flag everything is Hydra's."""
    flag = next((place for place, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    runs = [word for word in arguments[:flag] if "=" not in word or Path(word).is_dir()]
    return runs, [word for word in arguments if word not in runs]
