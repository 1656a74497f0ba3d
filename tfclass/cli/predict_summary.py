"""The progress and the summary of ``tfclass predict``, on standard error."""

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from tfclass.cli.terminal import has_terminal

if TYPE_CHECKING:
    from tfclass.inference.predictor import Predictor
    from tfclass.inference.rows import Prediction


# Meaning of a note in the last lines; one that is not listed goes by its name alone.
_MEANINGS = {
    "looks_like_nucleotide": "DNA or RNA? The model expects proteins: translate the sequences first",
    "duplicate_id": "an earlier record has the same id; both are kept",
    "no_id": "the header is empty",
    "id_escaped": "bytes that are no UTF-8, and control characters, are backslash escapes in the id",
    "header_within_line": "a '>' inside a line began the next record; files joined without a line end?",
    "stop_removed": "a stop (*) at the end was removed",
    "internal_stops": "stops (*) inside the sequence were read as X",
    "gaps_removed": "gaps (- or .) were removed",
    "nonstandard": "letters other than the 20 amino acids",
    "looks_like_empty_value": "a word such as nan or null, read as residues",
    "empty": "no residue",
    "illegal": "a character that is no residue letter",
    "longer_than": "more characters than --max-length allows",
    "too_long_for_memory": "longer than the memory allows",
}
# The name at the start of each note; what a note quotes never begins with a letter.
_NAMES = re.compile(r"(?:^|;)([a-z_]+)")


class Tally:
    """Counts of the rows that have passed.

    Parameters
    ----------
    is_positive : callable
        See `Predictor.is_positive`.

    Attributes
    ----------
    records, skipped, called : int
        `called` is the number of records predicted positive.
    notes, reasons : Counter of str
        Records with each note, and skipped records by reason.
    """

    def __init__(self, is_positive: "Callable[[Prediction], bool]") -> None:
        self._is_positive = is_positive
        self.records = self.skipped = self.called = 0
        self.notes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    def count(self, rows: Iterable["Prediction"]) -> Iterator["Prediction"]:
        """Count rows as they pass."""
        for row in rows:
            self.records += 1
            self.called += self._is_positive(row)
            names = _NAMES.findall(row.notes)
            if row.status == "skipped":
                self.skipped += 1
                self.reasons.update(names[-1:])
                names = names[:-1]
            self.notes.update(names)
            yield row

    def lines(self, positive: str) -> Iterator[str]:
        """Yield the summary: the predictions, then a line for each note, the most frequent first.

        Parameters
        ----------
        positive : str
            Name of the positive class; empty for a model of several classes.
        """
        predicted = f"predicted {positive}" if positive else "predicted"
        yield f"{self.called:,} of {_records(self.records)} {predicted}, {self.skipped:,} skipped"
        for name, number in self.notes.most_common():
            yield f"{_records(number)} with {_explained(name)}"
        for name, number in self.reasons.most_common():
            yield f"{_records(number)} skipped: {_explained(name)}"


def _records(number: int) -> str:
    return f"{number:,} record{'s' * (number != 1)}"


def _explained(name: str) -> str:
    return f"{name} ({_MEANINGS[name]})" if name in _MEANINGS else name


def summary(tally: Tally, predictor: "Predictor") -> Iterator[str]:
    """Yield the last lines: what was predicted, the notes, and the threshold where the whole input decided it."""
    yield from tally.lines(predictor.bundle.classes[1] if predictor.binary else "")
    if predictor.waits:
        yield _chosen_from_input(predictor)


def _chosen_from_input(predictor: "Predictor") -> str:
    rule, prevalence = predictor.asked
    origin = "estimated" if prevalence in (None, "auto") else "as given"
    share = "" if predictor.prevalence is None else f", prevalence {predictor.prevalence} ({origin})"
    return f"threshold {predictor.threshold} ({rule or 'max-mcc'}){share}"


@contextlib.contextmanager
def progress(quiet: bool) -> Iterator["Callable[[Iterable[Prediction]], Iterator[Prediction]]"]:
    """Show a counter of the records scored on stderr where that is a terminal.

    Yields
    ------
    callable
        Passes rows on, and counts them.
    """
    if quiet or not has_terminal():
        yield iter
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} records"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield lambda rows: iter(bar.track(rows))
