"""Logistic functions against SciPy."""

import numpy as np
import scipy.special
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tfclass.channels.calibration import expit, logit, softmax

FINITE = st.floats(-1e3, 1e3)


@given(arrays.arrays(np.float64, st.integers(0, 9), elements=FINITE))
def test_expit_and_logit_are_those_of_scipy(x):
    np.testing.assert_allclose(expit(x), scipy.special.expit(x), rtol=1e-14)
    p = scipy.special.expit(x)
    np.testing.assert_allclose(logit(p), scipy.special.logit(p), rtol=1e-12, atol=1e-15)


def test_logit_is_infinite_at_the_ends():
    assert logit([0.0, 0.5, 1.0]).tolist() == [-np.inf, 0.0, np.inf]


@given(arrays.arrays(np.float64, st.tuples(st.integers(0, 9), st.integers(1, 5)), elements=FINITE))
def test_softmax_is_that_of_scipy(x_NC):
    np.testing.assert_array_equal(softmax(x_NC), scipy.special.softmax(x_NC, axis=1))


def test_a_row_that_is_no_number_gives_none():
    assert np.isnan(softmax(np.array([[np.inf, 0.0], [np.nan, 0.0], [0.0, 0.0]]))).tolist() == [[True] * 2] * 2 + [
        [False] * 2
    ]
