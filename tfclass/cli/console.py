"""What training and evaluation show: a progress bar on a terminal, a line per epoch, tables of scores."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from tfclass.cli.signals import stop_on_signal
from tfclass.cli.terminal import has_terminal
from tfclass.training.trainer import Hooks, Interrupted

if TYPE_CHECKING:
    from tfclass.evaluation.tables import Cell
    from tfclass.evaluation.tables import Table as Contents

# How an outcome against a baseline looks.
_STYLES = {"loses": "bold red", "behind": "red", "undecided": "yellow", "ahead": "yellow", "wins": ""}


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
    with Progress(*columns, console=console, transient=True, disable=not has_terminal()) as bar:
        task = bar.add_task("epoch 1", total=1.0, loss="")
        tenths = -1

        def on_pretraining(done: float, seconds: float) -> None:
            nonlocal tenths
            bar.update(task, completed=done, description="k-mer vectors")
            # Where there is no bar, a line for every tenth.
            if int(10 * done) > tenths and (done >= 1 or not has_terminal()):
                tenths = int(10 * done)
                console.print(f"k-mer vectors {done:4.0%}  {seconds:.0f} s", soft_wrap=True)

        def on_step(epoch: int, done: float, loss: float) -> None:
            bar.update(task, completed=done, description=f"epoch {epoch + 1}/{epochs}", loss=f"loss {loss:.4f}")

        def on_epoch(entry: dict[str, float]) -> None:
            console.print(
                f"epoch {int(entry['epoch']) + 1:>3}  loss {entry['train_loss']:.4f}  "
                f"validation: loss {entry['valid_loss']:.4f}, average precision {entry['valid_ap']:.4f}  "
                f"{entry['train_seconds']:.0f} s",
                soft_wrap=True,
            )

        yield Hooks(on_pretraining=on_pretraining, on_step=on_step, on_epoch=on_epoch)


@contextmanager
def trainings_display(epochs: int) -> Iterator[Callable[[str], Hooks]]:
    """Show one training after another; after Ctrl-C the block ends in one line, with status 130.

    Yields
    ------
    callable
        Title of the next training -> its hooks.
    """
    with stop_on_signal() as should_stop, ExitStack() as displays:

        def hooks_of(title: str) -> Hooks:
            displays.close()
            typer.echo(title, err=True)
            return displays.enter_context(training_display(epochs))._replace(should_stop=should_stop)

        try:
            yield hooks_of
        except Interrupted:
            typer.echo("tfclass: interrupted; the same command goes on", err=True)
            raise typer.Exit(130) from None


def print_report(content: dict[str, Any]) -> None:
    """Print what a report says first, on stdout: scores with intervals, and how the model does against baselines."""
    from tfclass.evaluation.tables import all_scores, shares

    corpus = content["corpus"]
    title = f"{content['bundle']['name']} on {corpus['name']} {corpus['split']}: {shares(content['class_counts'])}"
    print_table(all_scores(content, meanings=False)._replace(caption=title))
    console = _console()
    if corpus["note"]:
        console.print(Text(corpus["note"], style="bold"), soft_wrap=True)
    for verdict in content["verdicts"]:
        style = _STYLES[verdict["outcome"]]
        console.print(Text(verdict["text"], style=style), soft_wrap=True)
    for baseline in content["baselines"].values():
        if "left_out" in baseline:
            console.print(Text(f"Not compared with {baseline['title']}: {baseline['left_out']}."), soft_wrap=True)


def print_table(content: "Contents") -> None:
    """Print a table of a report on stdout, its notes below it."""
    _console().print(Text(content.caption, style="bold"), soft_wrap=True)
    table = Table()
    for column, name in enumerate(content.head):
        table.add_column(Text(name), justify="left" if column in content.words else "right")
    for row in content.rows:
        table.add_row(*(_cell(cell) for cell in row))
    console = _console()
    console.print(table)
    for number, text in enumerate(content.notes, start=1):
        console.print(Text(f"[{number}] {text}"), soft_wrap=True)


def _cell(cell: "Cell") -> Text:
    note = f" [{cell.note}]" if cell.note else ""
    return Text(f"{cell.text}{note}").append(f" {cell.below}" if cell.below else "", style="dim")


def _console() -> Console:
    # A pipe has no width of its own; a table may not be cut there.
    return Console(width=None if sys.stdout.isatty() else 140, highlight=False)
