"""Tables and metrics of predictions; no model."""

from digits.evaluation.calibration import (
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
    risk_coverage_curve,
    summary,
)
from digits.evaluation.corruptions import CORRUPTIONS, corrupt, corruption_errors
from digits.evaluation.occlusion import occlusion_map
from digits.evaluation.predictions import (
    DISPUTED_TEST_LABELS,
    N_DIGITS,
    Score,
    accuracy,
    compare,
    errors,
    is_wrong,
    prediction_table,
)
