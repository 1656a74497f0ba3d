"""Prediction: records in, one row per record out."""
