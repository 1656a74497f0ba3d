"""Metrics with their intervals, the fit of calibration and thresholds, and baselines."""
