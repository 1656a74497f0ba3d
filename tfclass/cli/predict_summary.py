"""The summary of ``tfclass predict``."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfclass.inference.predictor import Predictor
    from tfclass.inference.rows import Prediction

# Explanations of the notes; one that is not listed has its name alone.
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
    """Counts of the rows of a predictor: all, skipped and predicted positive ones, and those with each note."""

    def __init__(self, predictor: "Predictor") -> None:
        self._predictor = predictor
        self.n_records = self.n_skipped = self.n_positive = 0
        self._notes: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()

    def count(self, rows: Iterable["Prediction"]) -> Iterator["Prediction"]:
        """Count rows as they pass."""
        for row in rows:
            self.n_records += 1
            self.n_positive += self._predictor.is_positive(row)
            names = _NAMES.findall(row.notes)
            if row.status == "skipped":
                self.n_skipped += 1
                self._reasons.update(names[-1:])
                names = names[:-1]
            self._notes.update(names)
            yield row

    def summary(self) -> Iterator[str]:
        """Yield the predictions, each note, the most frequent first, and the threshold where the input decides it."""
        predictor = self._predictor
        predicted = f"predicted {predictor.bundle.classes[1]}" if predictor.binary else "predicted"
        yield f"{self.n_positive:,} of {_records(self.n_records)} {predicted}, {self.n_skipped:,} skipped"
        for name, number in self._notes.most_common():
            yield f"{_records(number)} with {_explained(name)}"
        for name, number in self._reasons.most_common():
            yield f"{_records(number)} skipped: {_explained(name)}"
        if predictor.waits:
            rule, prevalence = predictor.asked
            origin = "estimated" if prevalence in (None, "auto") else "as given"
            known = "" if predictor.prevalence is None else f", prevalence {predictor.prevalence} ({origin})"
            yield f"threshold {predictor.threshold} ({rule or 'max-mcc'}){known}"


def _records(number: int) -> str:
    return f"{number:,} record{'s' * (number != 1)}"


def _explained(name: str) -> str:
    return f"{name} ({_MEANINGS[name]})" if name in _MEANINGS else name
