"""A trained model as a folder: weights, description, card; and how its evidence is read."""
