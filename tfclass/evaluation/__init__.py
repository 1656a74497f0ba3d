"""Metrics with intervals, baselines, the fit of calibration and thresholds, and the report."""
