"""Calibration of a network whose weights were changed after its training."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfclass.bundle.bundle import Bundle
from tfclass.config import EvaluationConfig, SplitConfig, TrainingConfig
from tfclass.data.split import select_split
from tfclass.data.table import LabelledProteins
from tfclass.pipelines.calibrate import calibrate
from tfclass.pipelines.profiles import read_clustered
from tfclass.pipelines.provenance import check_unseen


def read_validation(bundle: Bundle, table: Path) -> LabelledProteins:
    """Return the validation split of a table, which the bundle must not have learned from (`TableError`)."""
    proteins = read_clustered(table, bundle.classes)
    valid = select_split(proteins, "valid", str(table))
    check_unseen(bundle, proteins, valid, "valid", SplitConfig.default(), str(table))
    return valid


def recalibrated(bundle: Bundle, validation: LabelledProteins, origin: Mapping[str, Any]) -> Bundle:
    """Return a bundle with a new calibration, threshold and operating points, and its network as the only channel.

    Parameters
    ----------
    origin : mapping of str to object
        JSON values that the provenance gets: where the weights come from.
    """
    unweighted_C = np.ones(len(bundle.classes))
    fitted = calibrate(bundle.model, validation, unweighted_C, TrainingConfig.default(), EvaluationConfig.default())
    found = {"calibration": fitted.choice.as_json(), "validation": fitted.scores}
    return replace(
        bundle,
        calibration=fitted.choice.calibration,
        threshold=fitted.threshold,
        operating_points=fitted.operating_points,
        provenance={**bundle.provenance, **found, **origin},
        channels={},
        stacked={},
    )
