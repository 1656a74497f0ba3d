"""The progress bar, on stderr where that is a terminal."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import typer

from tfclass.cli.signals import stop_at_once
from tfclass.cli.terminal import has_terminal
from tfclass.errors import escaped

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")


class Bar:
    """A line that shows a task and how much of it is done; without a terminal, nothing but the notes is shown."""

    def __init__(self, shown: "Progress | None" = None) -> None:
        self._shown = shown

    def update(self, text: str, done: float | None = None, total: float | None = None) -> None:
        """Show another text, and that `done` of `total` are done."""
        if self._shown is not None:
            self._shown.update(self._shown.task_ids[0], description=text, completed=done, total=total)

    def note(self, text: str) -> None:
        """Print a line on stderr, above the bar."""
        if self._shown is None:
            typer.echo(escaped(text), err=True)
        else:
            self._shown.console.print(escaped(text))

    def count(self, items: Iterable[T], unit: str) -> Iterator[T]:
        """Pass items on, and show their number."""
        for number, item in enumerate(items, start=1):
            if self._shown is not None:
                self.update(f"{number:,} {unit}")
            yield item


@contextmanager
def progress(text: str, *, is_quiet: bool = False) -> Iterator[Bar]:
    """Show a bar for a task while the block runs; see `Bar`."""
    if is_quiet or not has_terminal():
        yield Bar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        shown.add_task(text, total=None)
        yield Bar(shown)


@contextmanager
def at_work(task: str) -> Iterator[Callable[[str, float], None]]:
    """Show a task while the block runs; signals end it.

    Yields
    ------
    callable
        Takes the name of the present step, and the fraction of it that is done.
    """
    with stop_at_once(goes_on=False), progress(task) as bar:
        yield lambda step, fraction: bar.update(step, fraction, 1.0)


@contextmanager
def counted(unit: str, *, goes_on: bool) -> Iterator[tuple[Callable[[int, int], None], Callable[[str], None]]]:
    """Show how many of all units are done; signals end it.

    Parameters
    ----------
    unit : str
        What is counted, in the plural.
    goes_on : bool
        Whether the same command goes on after a signal.

    Yields
    ------
    advance : callable
        Takes the number of units that are done, and of all.
    note : callable
        Prints a line above the bar.
    """
    with stop_at_once(goes_on=goes_on), progress(unit) as bar:
        yield lambda done, total: bar.update(f"{done:,}/{total:,} {unit}", done, total), bar.note
