"""The progress and the summary of ``tfclass predict``, on standard error."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from tfclass.cli.terminal import has_terminal

if TYPE_CHECKING:
    from tfclass.inference.predictor import Predictor
    from tfclass.inference.rows import Prediction


class Tally:
    """Counts of the rows that have passed."""

    def __init__(self) -> None:
        self.records = self.skipped = self.called = 0

    def count(self, rows: Iterable["Prediction"], advance: Callable[[], object]) -> Iterator["Prediction"]:
        """Count rows as they pass; `advance` is called for each."""
        for row in rows:
            advance()
            self.records += 1
            self.skipped += row.status == "skipped"
            self.called += is_called(row)
            yield row


def is_called(row: "Prediction") -> bool:
    """Return whether a row is predicted positive; a model of several classes has no negative one."""
    return row.probability is not None and (row.threshold is None or row.probability >= row.threshold)


def chosen_from_input(predictor: "Predictor") -> str:
    """Describe the threshold and the prevalence that the whole input decided, in one line."""
    rule, prevalence = predictor.asked
    origin = "estimated" if prevalence in (None, "auto") else "as given"
    share = "" if predictor.prevalence is None else f", prevalence {predictor.prevalence} ({origin})"
    return f"threshold {predictor.threshold} ({rule or 'max-mcc'}){share}"


@contextlib.contextmanager
def progress(quiet: bool) -> Iterator[Callable[[], object]]:
    """Show a counter on stderr where that is a terminal.

    Yields
    ------
    callable
        To be called once for each record.
    """
    if quiet or not has_terminal():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} records"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda: bar.advance(task)
