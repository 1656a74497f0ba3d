"""What training and evaluation show: a progress bar on a terminal, a line per epoch, tables of scores."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tfclass.training.loop import Hooks


@contextmanager
def training_display(epochs: int) -> Iterator[Hooks]:
    """Show training on stderr: a bar where that is a terminal, and a line per epoch everywhere.

    Yields
    ------
    Hooks
        Without `should_stop`.
    """
    console = Console(stderr=True, highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[loss]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("epoch 1", total=1.0, loss="")

        def on_step(epoch: int, done: float, loss: float) -> None:
            bar.update(task, completed=done, description=f"epoch {epoch + 1}/{epochs}", loss=f"loss {loss:.4f}")

        def on_epoch(entry: dict[str, float]) -> None:
            console.print(
                f"epoch {int(entry['epoch']) + 1:>3}  loss {entry['train_loss']:.4f}  "
                f"validation: loss {entry['valid_loss']:.4f}, average precision {entry['valid_ap']:.4f}  "
                f"{entry['train_seconds']:.0f} s"
            )

        yield Hooks(on_step=on_step, on_epoch=on_epoch)


def print_report(content: dict[str, Any]) -> None:
    """Print a report's metrics, with intervals and the baseline beside them, on stdout."""
    corpus, counts = content["corpus"], content["class_counts"]
    shares = ", ".join(f"{n:,} {name} ({n / content['n_proteins']:.1%})" for name, n in counts.items())
    title = f"{content['bundle']['name']} on {corpus['name']} {corpus['split']}: {shares}"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("metric")
    table.add_column("value", justify="right")
    table.add_column(f"{content['confidence']:.0%} interval", justify="right")
    baselines = {name: b["metrics"] for name, b in content["baselines"].items() if "metrics" in b}
    for name in baselines:
        table.add_column(name.replace("_", " "), justify="right")
    for metric, estimate in content["metrics"].items():
        interval = f"{_number(estimate['low'])} to {_number(estimate['high'])}"
        others = (_number(metrics[metric]["value"]) for metrics in baselines.values())
        table.add_row(metric.replace("_", " "), _number(estimate["value"]), interval, *others)
    _show(table)


def print_zoo(networks: pd.DataFrame, corpus: str, split: str) -> None:
    """Print the table of `tfclass.workflow.run_zoo` on stdout."""
    title = f"networks on {corpus}, {split} split"
    if networks["prevalence"].notna().all():
        title += f", {networks['prevalence'].iloc[0]:.1%} positive"
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("network")
    for heading in ("weights", "epochs", "residues/s, training", "prediction", "valid AP", "test AP", "test MCC"):
        table.add_column(heading, justify="right")
    for row in networks.to_dict("records"):
        counts = (row["weights"], row["train_residues_per_second"], row["predict_residues_per_second"])
        weights, training, prediction = (f"{count:,.0f}" for count in counts)
        scores = (
            f"{row[name]:.3f} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]" for name in ("test_ap", "test_mcc")
        )
        valid = f"{row['valid_ap']:.3f}"
        table.add_row(row["network"], weights, f"{row['epochs']:.2f}", training, prediction, valid, *scores)
    _show(table)


def _show(table: Table) -> None:
    # A pipe has no width of its own; a table may not be cut there.
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _number(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"
