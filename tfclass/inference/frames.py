"""Predictions as a DataFrame."""

import io
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow.parquet as pq

from tfclass.inference.writers import write_parquet

if TYPE_CHECKING:
    from tfclass.inference.predictor import Predictor


def frame_of(predictor: "Predictor", proteins: Any) -> pd.DataFrame:  # noqa: ANN401
    """Predict proteins; see `Predictor.predict_frame`."""
    index = proteins.index if isinstance(proteins, pd.DataFrame | pd.Series) else None
    stream = io.BytesIO()
    write_parquet(predictor.predict(proteins), stream, columns=predictor.columns)
    frame = pq.read_table(stream).to_pandas()
    return frame if index is None else frame.set_axis(index)
