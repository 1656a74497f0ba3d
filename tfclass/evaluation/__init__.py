"""Scores, calibration, thresholds, baselines and the figures that show them."""
