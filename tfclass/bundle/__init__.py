"""A trained model as a folder: weights, description, card; and its MLflow face."""
