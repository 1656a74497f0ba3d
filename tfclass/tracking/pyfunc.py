"""The bundle as an MLflow model: a DataFrame with ``id`` and ``sequence`` in, the rows of ``tfclass predict`` out.

MLflow stores this file itself ("models from code") beside the bundle and runs it when the model is loaded.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from tfclass.inference.predictor import Predictor


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
            See `as_records`.
        params : dict, optional
            Not used.

        Raises
        ------
        InputError
            See `as_records`.
        """
        predictions = self.predictor.predict(model_input)
        columns = list(self.predictor.columns)
        return Answer([[getattr(row, column) for column in columns] for row in predictions], columns=columns)


set_model(TfclassModel())
