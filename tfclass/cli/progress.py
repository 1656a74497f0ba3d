"""Progress on stderr, where that is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tfclass.cli.signals import stop_at_once
from tfclass.cli.terminal import has_terminal
from tfclass.errors import escaped


@contextmanager
def at_work(task: str) -> Iterator[Callable[[str, float], None]]:
    """Show a task and the time that it has taken; signals end it.

    Yields
    ------
    callable
        Takes what is being done now, and the share of it that is done.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns, quiet = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()), not has_terminal()
    shown = Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet)
    with stop_at_once(goes_on=False), shown:
        number = shown.add_task(task, total=None)
        yield lambda now, share: shown.update(number, description=now, completed=share, total=1.0)


@contextmanager
def counted(unit: str, *, goes_on: bool) -> Iterator[tuple[Callable[[int, int], None], Callable[[str], None]]]:
    """Show how many of all units are done; signals end it.

    Parameters
    ----------
    unit : str
        What is counted.
    goes_on : bool
        Whether the same command goes on after a signal.

    Yields
    ------
    advance : callable
        Takes the number of units that are done, and of all.
    note : callable
        Prints a line beside the bar.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    shown = Progress(*columns, console=console, transient=True, disable=not has_terminal())
    with stop_at_once(goes_on=goes_on), shown:
        number = shown.add_task(unit, total=None)

        def advance(done: int, total: int) -> None:
            shown.update(number, completed=done, total=total)

        yield advance, lambda text: console.print(escaped(text))
