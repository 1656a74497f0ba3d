"""Channels of evidence about a protein, their stacking, calibration and decision rules."""
