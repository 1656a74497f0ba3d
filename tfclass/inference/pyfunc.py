"""The bundle as an MLflow model: a DataFrame with ``id`` and ``sequence`` in, the rows of ``tfclass predict`` out.

MLflow stores this file itself ("models from code") beside the bundle and runs it when the model is loaded.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from tfclass.inference.predictor import Predictor
from tfclass.sequence.fasta import Record


class TfclassModel(PythonModel):
    """The predictor behind MLflow's interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load and verify the bundle."""
        self.predictor = Predictor.load(Path(context.artifacts["bundle"]))

    def predict(  # type: ignore[override]
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Score a table.

        Parameters
        ----------
        context : PythonModelContext
        model_input : DataFrame
            Columns ``id`` and ``sequence``.
        params : dict, optional
            Not used.

        Returns
        -------
        DataFrame
            Columns of `Predictor.columns`, one row per row given, in order.
        """
        # A cell without a value is an empty one, not a protein of the letters in "nan".
        cells = model_input[["id", "sequence"]].fillna("").astype(str)
        rows = cells.itertuples(index=False)
        predictions = self.predictor.predict(Record(name, name, sequence) for name, sequence in rows)
        columns = list(self.predictor.columns)
        return pd.DataFrame([[getattr(row, column) for column in columns] for row in predictions], columns=columns)


set_model(TfclassModel())
