"""A row of output, its columns, and counts of rows."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tfclass.channels.base import Column

if TYPE_CHECKING:
    from tfclass.inference.predictor import Predictor


class Prediction(NamedTuple):
    """One row of output.

    Attributes
    ----------
    id : str
        As in the input.
    length : int
        Residues scored; characters given when skipped.
    label : str
        The predicted class; empty when skipped.
    probability : float or None
        Of the positive class in a binary model, of the predicted class in a multi-class one; six decimals, and more
        where the threshold is below 0.01; None when skipped.
    threshold : float or None
        Least probability of a predicted positive; None in a multi-class model.
    status : str
        ``ok`` or ``skipped``.
    notes : str
        What was done to the sequence, or why it was skipped; joined by ``;``.
    details : mapping of str to str, float or None
        The columns of the channels (`Predictor.columns`), which are attributes as well: ``family``, ``domain``, ...
    """

    id: str
    length: int
    label: str
    probability: float | None
    threshold: float | None
    status: str
    notes: str
    details: Mapping[str, Any] = {}

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Prediction":
        """Make a row from the values of all its columns."""
        details = {name: value for name, value in values.items() if name not in COLUMNS}
        return cls(**{name: values[name] for name in COLUMNS}, details=details)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Return a column of the details."""
        try:
            return self.details[name]
        except KeyError:
            raise AttributeError(f"the model has no column {name!r}") from None


# The columns of every output; those of the channels stand before the last two.
COLUMNS = {
    "id": Column("text"),
    "length": Column("integer"),
    "label": Column("category"),
    "probability": Column("number"),
    "threshold": Column("number"),
    "status": Column("category"),
    "notes": Column("text"),
}
# The rest of a header, a column of its own where it is asked for.
DESCRIPTION = {"description": Column("text")}


def with_details(details: Mapping[str, Column]) -> dict[str, Column]:
    """Return all columns of an output, in order, with those of the channels among them."""
    last = {name: COLUMNS[name] for name in ("status", "notes")}
    return {name: column for name, column in COLUMNS.items() if name not in last} | dict(details) | last


# Explanations of the notes; one that is not listed has its name alone.
MEANINGS = {
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
    """Count the rows of a predictor as they pass.

    Attributes
    ----------
    n_records, n_skipped, n_positive : int
        All rows, those that were not scored, and those predicted positive.
    groups : Counter of str
        Predicted positives by family, empty where unknown; in a multi-class model all that were scored, by class.
    notes, reasons : Counter of str
        Rows with each note, and rows skipped for each reason.
    """

    def __init__(self, predictor: "Predictor") -> None:
        self.predictor = predictor
        self.n_records = self.n_skipped = self.n_positive = 0
        self.groups: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self._has_families = predictor.binary and "family" in predictor.columns

    def count(self, rows: Iterable[Prediction]) -> Iterator[Prediction]:
        """Count rows, and pass them on."""
        for row in rows:
            self.add(row, _NAMES.findall(row.notes) if row.notes else [])
            yield row

    def add(self, row: Prediction, names: list[str]) -> None:
        """Count one row, with the names of its notes."""
        self.n_records += 1
        if row.status == "skipped":
            self.n_skipped += 1
            self.reasons.update(names[-1:])
            names = names[:-1]
        elif self.predictor.is_positive(row):
            self.n_positive += 1
            if self._has_families or not self.predictor.binary:
                self.groups[(row.details["family"] or "") if self._has_families else row.label] += 1
        self.notes.update(names)
