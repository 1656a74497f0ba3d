"""The bundle as an MLflow model: a DataFrame with ``id`` and ``sequence`` in, the rows of ``tfclass predict`` out.

MLflow stores this file itself ("models from code") beside the bundle and runs it when the model is loaded.
"""

import math
from collections.abc import Hashable
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from tfclass.errors import TableError
from tfclass.inference.predictor import Predictor
from tfclass.sequences.fasta import Record

_COLUMNS = ("id", "sequence")


class Answer(pd.DataFrame):
    """Rows whose missing values are None as dictionaries, of which MLflow's server makes JSON.

    In a column they stay NaN, which can be compared with a number. JSON has no NaN, only null.
    """

    def to_dict(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Convert to dictionaries; see `pandas.DataFrame.to_dict`."""
        rows = pd.DataFrame(self).astype(object)
        return rows.where(rows.notna(), None).to_dict(*args, **kwargs)


class TfclassModel(PythonModel):
    """The predictor behind MLflow's interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load and verify the bundle."""
        self.predictor = Predictor.load(Path(context.artifacts["bundle"]))

    def predict(  # type: ignore[override]
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score a table: a row of `Predictor.columns` for each of its rows, in order.

        Parameters
        ----------
        model_input : DataFrame
            Columns ``id`` and ``sequence``, of texts; numbers, bytes and missing values are taken as texts.
        params : dict, optional
            Not used.

        Raises
        ------
        TableError
            A column is missing or there twice, or a cell holds something else.
        """
        predictions = self.predictor.predict(Record(name, name, sequence) for name, sequence in _cells(model_input))
        columns = list(self.predictor.columns)
        return Answer([[getattr(row, column) for column in columns] for row in predictions], columns=columns)


def _cells(table: pd.DataFrame) -> list[tuple[str, str]]:
    names = list(table.columns)
    for column in _COLUMNS:
        if names.count(column) != 1:
            problem = "more than one" if column in names else "no"
            raise TableError(f"the table: {problem} column {column!r}; expected the columns {' and '.join(_COLUMNS)}")
    texts = ([_text(value, row, column) for row, value in enumerate(table[column])] for column in _COLUMNS)
    return list(zip(*texts, strict=True))


def _text(value: Hashable, row: int, column: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, Real) and math.isnan(value)):
        # A cell without a value is an empty one, not a protein of the letters in "nan".
        return ""
    if isinstance(value, float) and value.is_integer():
        # Whole numbers become fractions in a column where one is missing.
        return str(int(value))
    if not pd.api.types.is_scalar(value):
        kind = type(value).__name__
        raise TableError(f"the table, row {row + 1}, column {column!r}: found a {kind}; expected a text")
    return str(value)


set_model(TfclassModel())
