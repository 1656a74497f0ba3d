"""A row of output and its columns."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tfclass.channels.base import Column


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
