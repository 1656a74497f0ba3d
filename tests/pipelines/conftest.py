"""Fixtures of the pipeline tests."""

import pytest
from matplotlib.figure import Figure


@pytest.fixture(autouse=True)
def _a_small_figure():
    # To draw them is most of an evaluation's time; tests/evaluation and tests/cli look at all of them.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tfclass.evaluation.report.report_figures", lambda *_: {"calibration": Figure((1, 1))})
        yield
