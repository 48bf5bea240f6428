"""Any numbers have metrics that are finite, or are refused in one line."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import softmax
from strategies import FEW, MORE, an_array, answered

from digits import evaluation


@given(
    arrays.arrays(np.float32, (12, 11), elements=st.floats(-1e4, 1e4, width=32)),
    arrays.arrays(np.int64, 12, elements=st.integers(0, 9)),
)
@FEW
def test_any_logits_have_a_temperature_a_threshold_and_metrics(logits, labels):
    with answered():
        temperature = evaluation.fit_temperature(logits, labels)
        probabilities = softmax(np.float64(logits) / temperature, axis=1)
        assert 0.05 <= temperature <= 20.001
        assert np.allclose(probabilities.sum(axis=1), 1)
        table = evaluation.prediction_table(probabilities, labels)
        threshold = evaluation.choose_threshold(table["confidence"].to_numpy())
        assert (table["confidence"] >= threshold).mean() >= 0.99
        error = evaluation.expected_calibration_error(table)
        assert all(map(math.isfinite, (error, *evaluation.summary(table).values())))
        assert evaluation.risk_coverage_curve(table)["n_accepted"].iloc[-1] == len(labels)


@given(
    an_array(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=12)),
    an_array(arrays.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=12)),
)
@MORE
def test_any_two_arrays_are_a_prediction_table_or_refused(probabilities, labels):
    with answered():
        assert len(evaluation.prediction_table(probabilities, labels)) == len(labels)
