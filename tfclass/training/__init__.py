"""Training: the loop, its checkpoints, and the MLflow record of it."""
