"""Whole jobs: a table to a bundle, a bundle to a report. The only place that sees every layer."""
