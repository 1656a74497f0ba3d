"""Labelled proteins: tables, splits, the generated demo, batches."""
