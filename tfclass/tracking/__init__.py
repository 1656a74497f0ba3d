"""The record in MLflow, and what is kept of it where MLflow cannot be reached."""
