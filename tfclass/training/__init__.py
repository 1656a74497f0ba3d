"""Training: the loop, what it starts from, its noise and targets, and its checkpoints."""
