"""The Hydra configuration that ships with tfclass."""
